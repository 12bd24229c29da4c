"""FHIRPath Patch: operations as Parameters. https://hl7.org/fhir/R4/fhirpatch.html"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fhir_server.fhir.patch.places import Find, Place, finder, member, parsed, root
from fhir_server.fhir.patch.shapes import Shapes
from fhir_server.fhir.patch.steps import (
    LARGEST,
    Budget,
    Change,
    Refused,
    Resource,
    Step,
    changing,
    check_number,
    compiled,
)
from fhir_server.fhir.patch.values import (
    Part,
    Value,
    key_of,
    listed,
    pair,
    pairs_of,
    put,
    put_pair,
    put_pairs,
    value_of,
)
from fhir_server.fhir.path.parser import Member, Node
from fhir_server.problems import Problem, invalid

Run = Callable[[Any, Budget], Any]
Parts = Mapping[str, Part]
_PARTS = frozenset({"type", "path", "name", "value", "index", "source", "destination"})
_STEP = "Parameters.parameter[{}]"


def fhirpath_patch(parameters: Resource, shapes: Shapes, *, largest: int = LARGEST) -> Change:
    """The patch as a function; Problem 400 where it is malformed.

    `largest` is how many bytes its outcome may have.
    """
    if parameters.get("resourceType") != "Parameters":
        raise invalid("a FHIRPath Patch must be Parameters", "resourceType")
    try:
        operations = listed(parameters.get("parameter", []))
    except Refused:
        raise invalid("parameter must be a list", "Parameters.parameter") from None
    check_number(len(operations))
    return changing([_step(at, each, shapes) for at, each in enumerate(operations)], largest)


def _step(at: int, operation: Part, shapes: Shapes) -> Step:
    if operation.get("name") != "operation":
        raise Problem(
            400, "invalid", f"parameter {at} must be an operation", expression=_STEP.format(at)
        )
    return compiled(str(at), _STEP.format(at), partial(_compile, operation, shapes))


def _compile(operation: Part, shapes: Shapes) -> Run:
    parts = _parts(operation)
    kind = _plain(parts, "type", "Code", str)
    if kind not in _COMPILERS:
        raise Refused(f"type must be one of {', '.join(_COMPILERS)}", "invalid")
    path = parsed(_plain(parts, "path", "String", str))
    return _COMPILERS[kind](path, parts, shapes)


def _parts(operation: Part) -> Parts:
    found: dict[str, Part] = {}
    for part in listed(operation.get("part")):
        name = part.get("name")
        if not isinstance(name, str) or name not in _PARTS or name in found:
            raise Refused(f"its parts are {', '.join(sorted(_PARTS))}, once each", "structure")
        found[name] = part
    return found


def _plain(parts: Parts, name: str, type_: str, kind: type) -> Any:
    """The value of a part that must be there, a string also where a code is asked for."""
    part = parts.get(name, {})
    found = part.get(f"value{type_}", part.get("valueString"))
    if type(found) is not kind:
        raise Refused(f"{name} is required, as value{type_}", "required")
    return found


def _add(path: Node, parts: Parts, shapes: Shapes) -> Run:
    find, value = finder(path, shapes), value_of(_given(parts))
    name: str = _plain(parts, "name", "String", str)

    def run(document: Resource, budget: Budget) -> Resource:
        put(_one(find, document, budget), name, value, shapes, budget)
        return document

    return run


def _delete(path: Node, _parts: Parts, shapes: Shapes) -> Run:
    find = finder(path, shapes)

    def run(document: Resource, budget: Budget) -> Resource:
        places = find(root(document), budget)
        if places:
            _remove(_single(places), budget)
        return document

    return run


def _replace(path: Node, parts: Parts, shapes: Shapes) -> Run:
    find, value = finder(path, shapes), value_of(_given(parts))

    def run(document: Resource, budget: Budget) -> Resource:
        _put_anew(_one(find, document, budget), value, shapes, budget)
        return document

    return run


def _insert(path: Node, parts: Parts, shapes: Shapes) -> Run:
    value, at = value_of(_given(parts)), _index(parts, "index")

    def insert(place: Place, key: str, shape: str, budget: Budget) -> None:
        pairs = pairs_of(place.node or {}, key, budget)
        if at > len(pairs):
            raise Refused("index is beyond the list's end", "value")
        pairs.insert(at, pair(value, shape, shapes, budget))
        put_pairs(_node(place), key, pairs)

    return _on_list(path, shapes, insert)


def _move(path: Node, parts: Parts, shapes: Shapes) -> Run:
    source, destination = _index(parts, "source"), _index(parts, "destination")

    def move(place: Place, key: str, _shape: str, budget: Budget) -> None:
        pairs = pairs_of(place.node or {}, key, budget)
        if max(source, destination) >= len(pairs):
            raise Refused("source and destination must be in the list", "value")
        pairs.insert(destination, pairs.pop(source))
        put_pairs(_node(place), key, pairs)

    return _on_list(path, shapes, move)


_COMPILERS: Mapping[str, Callable[[Node, Parts, Shapes], Run]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}


def _given(parts: Parts) -> Part:
    if "value" not in parts:
        raise Refused("value is required", "required")
    return parts["value"]


def _index(parts: Parts, name: str) -> int:
    found: int = _plain(parts, name, "Integer", int)
    if found < 0:
        raise Refused(f"{name} must be 0 or more", "value")
    return found


def _on_list(path: Node, shapes: Shapes, edit: Callable[[Place, str, str, Budget], None]) -> Run:
    """For a path that names a list by its parent: it need not be there yet."""
    if not isinstance(path, Member) or path.name[:1].isupper():
        raise Refused("path must end with the name of a list", "invalid")
    find, name = finder(path.base, shapes), path.name

    def run(document: Resource, budget: Budget) -> Resource:
        parent = _one(find, document, budget)
        element = member(parent, name, shapes)
        if not element.repeats:
            raise Refused("path names an element that does not repeat")
        key, shape = next(iter(element.keys.items()))
        edit(parent, key, shape, budget)
        return document

    return run


def _one(find: Find, document: Resource, budget: Budget) -> Place:
    places = find(root(document), budget)
    if not places:
        raise Refused("path leads to nothing in this resource", "not-found")
    return _single(places)


def _single(places: list[Place]) -> Place:
    if len(places) > 1:
        raise Refused("path leads to more than one element")
    return places[0]


def _node(place: Place) -> dict[str, Any]:
    if place.node is None:
        raise Refused("path leads to nothing in this resource", "not-found")
    return place.node


def _put_anew(place: Place, value: Value, shapes: Shapes, budget: Budget) -> None:
    if place.element is None:
        raise Refused("a patch may not replace the resource", "business-rule")
    if place.at is None:
        key = key_of(place.element, value)
        put_pair(place.holder, place.key, (None, None))
        put_pair(place.holder, key, pair(value, place.element.keys[key], shapes, budget))
    else:
        pairs = pairs_of(place.holder, place.key, budget)
        pairs[place.at] = pair(value, place.shape, shapes, budget)
        put_pairs(place.holder, place.key, pairs)


def _remove(place: Place, budget: Budget) -> None:
    """Takes an element out, and what is empty without it."""
    if place.element is None:
        raise Refused("a resource is deleted, not removed from itself", "business-rule")
    if place.at is None:
        put_pair(place.holder, place.key, (None, None))
    else:
        pairs = pairs_of(place.holder, place.key, budget)
        del pairs[place.at]
        put_pairs(place.holder, place.key, pairs)
    parent = place.parent
    if parent is not None and parent.element is not None and not place.holder:
        _drop(parent, budget)


def _drop(parent: Place, budget: Budget) -> None:
    """An element that has become empty; of a primitive, only what extended it."""
    if parent.value is None or isinstance(parent.value, dict):
        _remove(parent, budget)
    elif parent.at is None:
        put_pair(parent.holder, parent.key, (parent.value, None))
    else:
        pairs = pairs_of(parent.holder, parent.key, budget)
        pairs[parent.at] = (parent.value, None)
        put_pairs(parent.holder, parent.key, pairs)
