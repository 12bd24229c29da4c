"""JSON Patch. https://www.rfc-editor.org/rfc/rfc6902"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fhir_server.fhir.patch.pointer import Pointer, index, missing, pointer, value_at
from fhir_server.fhir.patch.steps import (
    LARGEST,
    Budget,
    Change,
    Refused,
    Step,
    changing,
    check_number,
    compiled,
    copied,
)

Run = Callable[[Any, Budget], Any]
_SHOWN = 64


def json_patch(operations: list[Any], *, largest: int = LARGEST) -> Change:
    """The patch as a function; Problem 400 where it is malformed.

    `largest` is how many bytes its outcome may have.
    """
    check_number(len(operations))
    return changing([_step(at, each) for at, each in enumerate(operations)], largest)


def _step(at: int, operation: Any) -> Step:
    return compiled(_name(at, operation), f"$this[{at}]", partial(_compile, operation))


def _name(at: int, operation: Any) -> str:
    given = operation if isinstance(operation, dict) else {}
    op, path = given.get("op"), given.get("path")
    known = op if isinstance(op, str) and op in _COMPILERS else "?"
    # A path is made of names, a value stands in none.
    return f"{at} ({known} {path[:_SHOWN] if isinstance(path, str) else '?'})"


def _compile(operation: Any) -> Run:
    if not isinstance(operation, dict):
        raise Refused("must be an object", "structure")
    op = operation.get("op")
    if not isinstance(op, str) or op not in _COMPILERS:
        raise Refused(f"op must be one of {', '.join(_COMPILERS)}", "invalid")
    return _COMPILERS[op](operation, pointer(operation.get("path"), "path"))


def _add(operation: Mapping[str, Any], place: Pointer) -> Run:
    value = _value(operation)
    return lambda document, budget: _put(document, place, copied(value, budget))


def _remove(_operation: Mapping[str, Any], place: Pointer) -> Run:
    if not place:
        raise Refused("a resource is deleted, not removed from itself", "invalid")

    def run(document: Any, _budget: Budget) -> Any:
        _take(document, place)
        return document

    return run


def _replace(operation: Mapping[str, Any], place: Pointer) -> Run:
    value = _value(operation)

    def run(document: Any, budget: Budget) -> Any:
        if not place:
            return copied(value, budget)
        parent = value_at(document, place[:-1])
        value_at(parent, place[-1:])
        key = place[-1] if isinstance(parent, dict) else index(parent, place[-1])
        parent[key] = copied(value, budget)
        return document

    return run


def _move(operation: Mapping[str, Any], place: Pointer) -> Run:
    source = pointer(operation.get("from"), "from")
    if len(source) < len(place) and place[: len(source)] == source:
        raise Refused("a value cannot be moved into itself", "invalid")

    def run(document: Any, _budget: Budget) -> Any:
        if source == place:
            value_at(document, source)
            return document
        return _put(document, place, _take(document, source))

    return run


def _copy(operation: Mapping[str, Any], place: Pointer) -> Run:
    source = pointer(operation.get("from"), "from")
    return lambda document, budget: _put(
        document, place, copied(value_at(document, source), budget)
    )


def _test(operation: Mapping[str, Any], place: Pointer) -> Run:
    value = _value(operation)

    def run(document: Any, _budget: Budget) -> Any:
        if not same(value_at(document, place), value):
            raise Refused("the value there is another one")
        return document

    return run


_COMPILERS: Mapping[str, Callable[[Mapping[str, Any], Pointer], Run]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: 1 is 1.0, and true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _value(operation: Mapping[str, Any]) -> Any:
    if "value" not in operation:
        raise Refused("value is required", "required")
    return operation["value"]


def _put(document: Any, place: Pointer, value: Any) -> Any:
    if not place:
        return value
    parent, last = value_at(document, place[:-1]), place[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else index(parent, last, after=True), value)
    else:
        raise missing()
    return document


def _take(document: Any, place: Pointer) -> Any:
    if not place:
        return document
    parent = value_at(document, place[:-1])
    found = value_at(parent, place[-1:])
    del parent[place[-1] if isinstance(parent, dict) else index(parent, place[-1])]
    return found
