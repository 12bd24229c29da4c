"""One step down a FHIR element in JSON: choices, repetitions and extended primitives.

https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.fhir import reference
from fhir_server.fhir.path.choices import KEYS
from fhir_server.fhir.path.operators import Valueless

Values = Callable[[Any, Any, Any], list[Any]]
_ABSTRACT = ("Resource", "DomainResource")


def member(base: Values, name: str) -> Values:
    """`base.name`; `value` stands for every `valueX`."""
    sibling = f"_{name}"
    absent = _absent(name)

    def values(this: Any, resource: Any, root: Any) -> list[Any]:
        out: list[Any] = []
        for node in base(this, resource, root):
            if isinstance(node, dict):
                found = node.get(name)
                if found is None:
                    found = absent(node)
                if isinstance(found, list):
                    out += _merged(found, node[sibling]) if sibling in node else found
                elif found is not None:
                    out.append(found)
        return out

    return values


def member_of_this(name: str) -> Values:
    """`name`, the most frequent path of all."""
    sibling = f"_{name}"
    absent = _absent(name)

    def values(this: Any, _resource: Any, _root: Any) -> list[Any]:
        if not isinstance(this, dict):
            return []
        found = this.get(name)
        if found is None:
            found = absent(this)
            if found is None:
                return []
        if isinstance(found, list):
            return _merged(found, this[sibling]) if sibling in this else found
        return [found]

    return values


def of_primitive(base: Values, parent: str, name: str) -> Values:
    """`base.parent.name` for `id` and `extension`, which a primitive keeps in `_parent`."""
    plain = member(member(base, parent), name)
    sibling = f"_{parent}"
    chosen = KEYS.get(parent, frozenset())
    siblings = {f"_{key}" for key in chosen} | {sibling}

    def values(this: Any, resource: Any, root: Any) -> list[Any]:
        out = plain(this, resource, root)
        for node in base(this, resource, root):
            if isinstance(node, dict):
                for key in siblings.intersection(node):
                    if key[1:] in node:
                        out = out + _extra(node[key[1:]], node[key], name)
        return out

    return values


def type_name(name: str) -> Values:
    """A leading type name: the item itself when it is such a resource."""

    def values(this: Any, _resource: Any, _root: Any) -> list[Any]:
        return [this] if is_resource(this, name) else []

    return values


def is_resource(item: Any, name: str) -> bool:
    if not isinstance(item, dict):
        return False
    type_ = item.get("resourceType")
    return type_ == name or (type_ is not None and name in _ABSTRACT)


def children(node: Any) -> list[Any]:
    """Every element below `node`, extended primitives once."""
    out: list[Any] = []
    if isinstance(node, dict):
        for key, value in node.items():
            if key[0] == "_":
                out += [] if key[1:] in node else _wrapped(value)
            elif isinstance(value, list):
                sibling = f"_{key}"
                out += _merged(value, node[sibling]) if sibling in node else value
            elif key != "resourceType":
                out.append(value)
    return out


def descendants(node: Any) -> list[Any]:
    out = children(node)
    for item in out:
        out += children(item)
    return out


def resolve(item: Any, resource: Any, root: Any) -> list[Any]:
    """What a reference says about its target without reading it: a contained resource, or type
    and id alone."""
    text = item.get("reference") if isinstance(item, dict) else item
    if not isinstance(text, str):
        named = item.get("type") if isinstance(item, dict) else None
        return [{"resourceType": named}] if named else []
    if text[:1] == "#":
        return _contained(text[1:], resource) or _contained(text[1:], root)
    type_, _, id_ = text.partition("/")
    if id_.isalnum() and type_.isalpha():
        return [{"resourceType": type_, "id": id_}]
    target = reference.parse(text)
    return [{"resourceType": target.type, "id": target.id}] if target.type else []


def _contained(id_: str, resource: Any) -> list[Any]:
    if not isinstance(resource, dict):
        return []
    if not id_:
        return [resource]
    return [r for r in resource.get("contained", ()) if r.get("id") == id_]


def _absent(name: str) -> Callable[[dict[str, Any]], Any]:
    sibling = f"_{name}"
    chosen = KEYS.get(name)

    def extended(node: dict[str, Any]) -> Any:
        found = node.get(sibling)
        return None if found is None else _wrapped(found)

    if chosen is None:
        return extended

    siblings = frozenset(f"_{key}" for key in chosen)

    def choice(node: dict[str, Any]) -> Any:
        key = _common(chosen, node)
        if key is not None:
            return node[key]
        key = _common(siblings, node)
        return extended(node) if key is None else _wrapped(node[key])

    return choice


def _common(keys: frozenset[str], node: dict[str, Any]) -> str | None:
    if len(keys) < len(node):
        for key in keys:
            if key in node:
                return key
        return None
    for key in node:
        if key in keys:
            return key
    return None


def _wrapped(found: Any) -> list[Any]:
    items = found if isinstance(found, list) else [found]
    return [Valueless(item) for item in items if isinstance(item, dict)]


def _merged(found: list[Any], extra: Any) -> list[Any]:
    """The items of a repeated primitive: where the value is null, what extends it."""
    extras = extra if isinstance(extra, list) else []
    return [
        Valueless(extras[at]) if item is None and at < len(extras) and extras[at] else item
        for at, item in enumerate(found)
        if item is not None or (at < len(extras) and extras[at])
    ]


def _extra(value: Any, extra: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        value, extra = [value], [extra]
    out: list[Any] = []
    for item, more in zip(value, extra, strict=False):
        if item is not None and isinstance(more, dict) and name in more:
            found = more[name]
            out += found if isinstance(found, list) else [found]
    return out
