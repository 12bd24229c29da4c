"""A resource to XML text, in the order of its elements.

The text is put together rather than built as a tree, so that a narrative, which is XML already,
goes in verbatim, once it is known to be well-formed; all else is escaped.
https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from fhir_server.fhir.json import FhirDecimal
from fhir_server.fhir.shapes import Property, Shape, Shapes
from fhir_server.fhir.xml.names import FHIR, XHTML
from fhir_server.fhir.xml.parsing import is_element

Json = Mapping[str, Any]
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_SPECIAL = re.compile(r'[&<>"\t\n\r]')
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    # Written plainly, they would be read back as spaces.
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}
# What XML has no way to write.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT = "\ufffd"


def write(resource: Json, shapes: Shapes, *, pretty: bool = False) -> bytes:
    """The document; KeyError or TypeError for what is not R4."""
    writer = _Writer(shapes, pretty=pretty)
    writer.resource(resource, 0, f' xmlns="{FHIR}"')
    return (_DECLARATION + ("" if pretty else "\n") + "".join(writer.out)).encode()


class _Writer:
    def __init__(self, shapes: Shapes, *, pretty: bool) -> None:
        self.out: list[str] = []
        self._shapes = shapes
        self._pretty = pretty
        self._extended = shapes.shape("Element")

    def resource(self, tree: Json, depth: int, namespace: str = "") -> None:
        name = tree["resourceType"]
        self._object(name, tree, self._shapes.shape(name), depth, namespace)

    def _object(self, tag: str, tree: Json, shape: Shape, depth: int, attributes: str = "") -> None:
        for key in shape.attributes:
            if key in tree:
                attributes += f' {key}="{_escaped(tree[key])}"'
        inner = _ordered(tree, shape)
        if not inner:
            self._line(depth, f"<{tag}{attributes}/>")
            return
        self._line(depth, f"<{tag}{attributes}>")
        for one in inner:
            self._property(one, tree, depth + 1)
        self._line(depth, f"</{tag}>")

    def _property(self, one: Property, tree: Json, depth: int) -> None:
        if one.kind == "primitive":
            self._primitives(one, tree, depth)
            return
        value = tree[one.key]
        for item in _listed(value) if one.repeats else (value,):
            if one.kind == "object":
                self._object(one.key, item, self._shapes.shape(one.type), depth)
            elif one.kind == "resource":
                self._line(depth, f"<{one.key}>")
                self.resource(item, depth + 1)
                self._line(depth, f"</{one.key}>")
            else:
                self._line(depth, _div(item))

    def _primitives(self, one: Property, tree: Json, depth: int) -> None:
        value, beside = tree.get(one.key), tree.get("_" + one.key)
        if not one.repeats:
            self._primitive(one.key, value, beside, depth)
            return
        for item, next_to_it in zip_longest(_listed(value or []), _listed(beside or [])):
            self._primitive(one.key, item, next_to_it, depth)

    def _primitive(self, tag: str, value: Any, beside: Json | None, depth: int) -> None:
        attribute = "" if value is None else f' value="{_text(value)}"'
        if beside is None:
            self._line(depth, f"<{tag}{attribute}/>")
        else:
            # Its id comes before its value only by custom.
            self._object(tag, beside, self._extended, depth, attribute)

    def _line(self, depth: int, text: str) -> None:
        if self._pretty:
            self.out.append("\n" + "  " * depth)
        self.out.append(text)


def _ordered(tree: Json, shape: Shape) -> list[Property]:
    """Its elements, in the order of the definition."""
    known = shape.properties
    names = dict.fromkeys(key.removeprefix("_") for key in tree)
    if shape.is_resource:
        del names["resourceType"]
    found = [one for one in map(known.__getitem__, names) if one.kind != "attribute"]
    return sorted(found, key=_position)


def _position(one: Property) -> int:
    return one.position


def _text(value: Any) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return _escaped(value)
    if isinstance(value, FhirDecimal):
        return value.text
    if isinstance(value, int | float):
        return str(value)
    raise TypeError(type(value).__name__)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(type(value).__name__)
    return value


def _escaped(text: str) -> str:
    if not text.isprintable():
        text = _IMPOSSIBLE.sub(_REPLACEMENT, text)
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text) if _SPECIAL.search(text) else text


def _div(text: str) -> str:
    """The narrative as it is; as plain text where it is no element and would break the rest."""
    if is_element(text.encode(errors="replace")):
        return text
    return f'<div xmlns="{XHTML}">{_escaped(text)}</div>'
