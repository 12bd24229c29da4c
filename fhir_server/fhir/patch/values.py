"""The value of a FHIRPath Patch operation as JSON for the place where it goes.

`valueCode` is a value of a type; parts are the elements of one that has no type of its own.
https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from fhir_server.fhir.patch.places import Place
from fhir_server.fhir.patch.shapes import Element, Shapes
from fhir_server.fhir.patch.steps import Budget, Refused, copied

Part = Mapping[str, Any]
Pair = tuple[Any, Any]
_OTHER = frozenset({"name", "id", "extension"})


class Value(NamedTuple):
    """`content` of `type` with what extends it (`_valueCode`), or the parts of a nameless type."""

    type: str = ""
    content: Any = None
    extra: Any = None
    parts: tuple[tuple[str, Value], ...] | None = None


def value_of(part: Part) -> Value:
    """The value in a parameter; Refused where there is not exactly one."""
    keys = {key.removeprefix("_") for key in part if key not in _OTHER}
    if len(keys) != 1:
        raise Refused("a value must be one value[x], resource or part", "structure")
    key = keys.pop()
    if key == "part":
        return Value(parts=tuple(_named(each) for each in listed(part["part"])))
    if key != "resource" and not key.startswith("value"):
        raise Refused("a value must be a value[x], resource or part", "structure")
    return Value(key.removeprefix("value"), part.get(key), part.get(f"_{key}"))


def listed(parts: Any) -> list[Part]:
    """A list of parameters."""
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise Refused("part must be a list of parameters", "structure")
    return parts


def _named(part: Part) -> tuple[str, Value]:
    name = part.get("name")
    if not isinstance(name, str):
        raise Refused("a part must have a name", "structure")
    return name, value_of(part)


def pair(value: Value, shape: str, shapes: Shapes, budget: Budget) -> Pair:
    """What goes to `key` and to `_key`."""
    if value.parts is None:
        return copied(value.content, budget), copied(value.extra, budget)
    node: dict[str, Any] = {}
    parent = Place({"": node}, "", None, shape)
    for name, part in value.parts:
        put(parent, name, part, shapes, budget)
    return node, None


def put(parent: Place, name: str, value: Value, shapes: Shapes, budget: Budget) -> None:
    """Adds a child element: to the end of a list, or where there was none."""
    element = shapes.element(parent.shape, name)
    if element is None:
        raise Refused("name is no element there", "structure")
    key, node = key_of(element, value), node_of(parent)
    found = pair(value, element.keys[key], shapes, budget)
    if element.repeats:
        pairs = pairs_of(node, key, budget)
        put_pairs(node, key, [*pairs, found])
    elif any(each in node or f"_{each}" in node for each in element.keys):
        raise Refused("the element is there already, and does not repeat")
    else:
        put_pair(node, key, found)


def key_of(element: Element, value: Value) -> str:
    """The JSON key for a value: that of its type where the element has a choice."""
    keys = list(element.keys)
    if len(keys) == 1:
        return keys[0]
    for key, shape in element.keys.items():
        if shape[:1].upper() + shape[1:] == value.type:
            return key
    raise Refused("the element cannot be of the value's type", "value")


def node_of(place: Place) -> dict[str, Any]:
    """What holds the children of a place; made for a primitive that nothing extends yet."""
    if place.node is not None:
        return place.node
    made: dict[str, Any] = {}
    if place.at is None:
        place.holder[f"_{place.key}"] = made
    else:
        extras = listing(place.holder.get(f"_{place.key}"))
        extras += [None] * (len(listing(place.holder.get(place.key))) - len(extras))
        extras[place.at] = made
        place.holder[f"_{place.key}"] = extras
    return made


def pairs_of(node: Mapping[str, Any], key: str, budget: Budget) -> list[Pair]:
    """A list's items, each with what extends it."""
    pairs = list(zip_longest(listing(node.get(key)), listing(node.get(f"_{key}"))))
    budget.spend(len(pairs))
    return pairs


def put_pairs(node: dict[str, Any], key: str, pairs: list[Pair]) -> None:
    """The list anew; FHIR has no empty lists."""
    for name, at in ((key, 0), (f"_{key}", 1)):
        column = [each[at] for each in pairs]
        _set(node, name, column if any(item is not None for item in column) else None)


def put_pair(node: dict[str, Any], key: str, found: Pair) -> None:
    """A single element anew."""
    _set(node, key, found[0])
    _set(node, f"_{key}", found[1])


def _set(node: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        node.pop(key, None)
    else:
        node[key] = value


def listing(found: Any) -> list[Any]:
    """A list of the found, its own where it is one."""
    if found is None:
        return []
    return found if isinstance(found, list) else [found]
