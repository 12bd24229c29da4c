"""XML to the JSON text that says the same, which then passes through all that JSON does.

What has no place in FHIR's XML is refused, and the place is named: losing it silently would be
losing a part of what was meant. https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import orjson
from lxml import etree

from fhir_server.fhir.json import dumps
from fhir_server.fhir.shapes import Property, Shape, Shapes
from fhir_server.fhir.xml.names import IN_FHIR, IN_XHTML, SCHEMA
from fhir_server.fhir.xml.parsing import parse, refused

Json = dict[str, Any]
Node = etree._Element  # noqa: SLF001 - lxml has no other name for the type
DEEPEST = 64
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_NUMERIC = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
_BOOLEANS = {"true": True, "false": False}
_SHOWN = 64


def read(data: bytes, shapes: Shapes) -> bytes:
    """The resource as JSON; Problem 400 that names the place of what cannot be read."""
    root = parse(data)
    root.attrib.pop(SCHEMA, None)
    return dumps(_Reader(shapes).resource(root, 0))


class _Reader:
    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self._extended = shapes.shape("Element")

    def resource(self, node: Node, depth: int) -> Json:
        name = _name(node)
        try:
            shape = self._shapes.shape(name)
        except KeyError:
            shape = None
        if shape is None or not shape.is_resource or "." in name:
            raise refused(f"There is no resource type {name[:_SHOWN]}", _place(node))
        return self._object(node, shape, depth, {"resourceType": name})

    def _object(self, node: Node, shape: Shape, depth: int, found: Json) -> Json:
        if depth > DEEPEST:
            raise refused(f"The body is nested deeper than {DEEPEST} levels")
        for key, value in _attributes(node, shape.attributes):
            found[key] = value
        self._children(node, shape, depth, found)
        return found

    def _children(self, node: Node, shape: Shape, depth: int, found: Json) -> None:
        seen: dict[str, None] = {}
        last = 0
        for child in _elements(node):
            one = _property(child, shape)
            if one.position < last:
                raise refused(f"{one.key} stands after what it must come before", _place(child))
            if one.key in seen and not one.repeats:
                raise refused(f"{one.key} occurs twice", _place(child))
            seen[one.key] = None
            last = one.position
            self._add(found, one, child, depth + 1)
        for key in seen:
            _drop_empty(found, key)
            _drop_empty(found, "_" + key)

    def _add(self, found: Json, one: Property, node: Node, depth: int) -> None:
        if one.kind == "primitive":
            value, beside = self._primitive(node, one.type, depth)
            _put(found, one.key, value, repeats=one.repeats)
            _put(found, "_" + one.key, beside, repeats=one.repeats)
        elif one.kind == "xhtml":
            found[one.key] = _xhtml(node)
        elif one.kind == "resource":
            _put(found, one.key, self._contained(node, depth), repeats=one.repeats)
        else:
            value = self._object(node, self._shapes.shape(one.type), depth, {})
            _put(found, one.key, value, repeats=one.repeats)

    def _primitive(self, node: Node, type_: str, depth: int) -> tuple[Any, Json | None]:
        """Its value, and its id and extensions."""
        beside: Json = {}
        text: str | None = None
        for key, given in _attributes(node, ("id", "value")):
            if key == "value":
                text = given
            else:
                beside[key] = given
        if len(node) or node.text:
            self._children(node, self._extended, depth, beside)
        if text is None and not beside:
            raise refused("must have a value or extensions", _place(node))
        return None if text is None else _value(text, type_), beside or None

    def _contained(self, node: Node, depth: int) -> Json:
        for key, _ in _attributes(node, ()):
            raise refused(f"The attribute {key[:_SHOWN]} has no place here", _place(node))
        inside = list(_elements(node))
        if len(inside) != 1:
            raise refused("must hold exactly one resource", _place(node))
        return self.resource(inside[0], depth)


def _elements(node: Node) -> Iterator[Node]:
    """The child elements; comments and processing instructions mean nothing, text must not be."""
    if node.text and not node.text.isspace():
        raise refused("Text has no place here", _place(node))
    for child in node:
        if child.tail and not child.tail.isspace():
            raise refused("Text has no place here", _place(node))
        if isinstance(child.tag, str):
            yield child


def _name(node: Node) -> str:
    tag = str(node.tag)
    if not tag.startswith(IN_FHIR):
        why = "An element is in another namespace than http://hl7.org/fhir"
        raise refused(why, _place(node))
    return tag[len(IN_FHIR) :]


def _property(node: Node, shape: Shape) -> Property:
    tag = str(node.tag)
    if tag == IN_XHTML + "div":
        name = "div"
        one = shape.properties.get(name)
        found = one if one is not None and one.kind == "xhtml" else None
    else:
        name = _name(node)
        one = shape.properties.get(name)
        found = one if one is not None and one.kind not in {"attribute", "xhtml"} else None
    if found is None:
        raise refused(f"Unrecognized element '{name[:_SHOWN]}'", _place(node))
    return found


def _attributes(node: Node, known: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key, value in node.attrib.items():
        if key not in known:
            name = str(key).rpartition("}")[2]
            raise refused(f"Unrecognized attribute '{name[:_SHOWN]}'", _place(node))
        yield str(key), str(value)


def _value(text: str, type_: str) -> Any:
    """As JSON writes it; what is none of the type stays text, which its check then refuses."""
    if type_ in _NUMERIC and _NUMBER.fullmatch(text):
        return orjson.Fragment(text)
    return _BOOLEANS.get(text, text) if type_ == "boolean" else text


def _xhtml(node: Node) -> str:
    """The element as it stands, with the namespaces that it uses."""
    alone = deepcopy(node)
    alone.tail = None
    etree.cleanup_namespaces(alone)
    return etree.tostring(alone, encoding="unicode")


def _put(found: Json, key: str, value: Any, *, repeats: bool) -> None:
    if repeats:
        found.setdefault(key, []).append(value)
    elif value is not None:
        found[key] = value


def _drop_empty(found: Json, key: str) -> None:
    """A list without any value: only the other of `given` and `_given` is there."""
    listed = found.get(key)
    if isinstance(listed, list) and all(item is None for item in listed):
        del found[key]


def _place(node: Node) -> str:
    """`Patient.contact[1].name`: where an element stands, by FHIR's names."""
    parts: list[str] = []
    step: Node | None = node
    while step is not None:
        name = etree.QName(step).localname[:_SHOWN]
        before = len(list(step.itersiblings(str(step.tag), preceding=True)))
        after = next(step.itersiblings(str(step.tag)), None) is not None
        parent = step.getparent()
        # A resource in another one is named by the element that holds it.
        if parent is None or not name[0].isupper():
            parts.append(f"{name}[{before}]" if before or after else name)
        step = parent
    return ".".join(reversed(parts))
