"""Where in a resource the items of a FHIRPath are, so that they can be changed there.

The part of FHIRPath that a place can be named with: elements, indexes, the filters `where()`,
`ofType()`, `extension()`, and `first()`, `last()`, `single()`. Nothing of it can make work grow
faster than path times resource: no regular expressions, no `%resource`, no arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.fhir.patch.shapes import Element, Shapes
from fhir_server.fhir.patch.steps import Budget, Refused, size
from fhir_server.fhir.path.logic import Condition
from fhir_server.fhir.path.native import condition
from fhir_server.fhir.path.operators import Valueless
from fhir_server.fhir.path.parser import (
    Binary,
    Call,
    Index,
    Literal,
    Member,
    Node,
    NotNative,
    PathError,
    This,
    TypeTest,
    Variable,
    parse,
)

LONGEST = 500
_ABSTRACT = frozenset({"Resource", "DomainResource"})
_CRITERIA = frozenset(
    {"exists", "empty", "not", "where", "first", "last", "hasValue", "extension"}
    | {"startsWith", "endsWith", "contains", "lower", "upper"}
)
_OPERATORS = frozenset({"and", "or", "xor", "implies", "=", "!=", "<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class Place:
    """One element: `holder[key]`, or item `at` of the list there. What extends a primitive
    stands beside it, at `_key`. `shape` is where its children are defined."""

    holder: dict[str, Any]
    key: str
    at: int | None
    shape: str
    element: Element | None = None
    parent: Place | None = None

    @property
    def value(self) -> Any:
        """Its value; None for a primitive that has only extensions."""
        return _item(self.holder.get(self.key), self.at)

    @property
    def extra(self) -> Any:
        """What extends it."""
        return _item(self.holder.get(f"_{self.key}"), self.at)

    @property
    def focus(self) -> Any:
        """It as FHIRPath sees it."""
        extra = self.extra
        return Valueless(extra) if self.value is None and isinstance(extra, dict) else self.value

    @property
    def node(self) -> dict[str, Any] | None:
        """What holds its children: itself, or what extends it; None where there is neither."""
        found = self.value if isinstance(self.value, dict) else self.extra
        return found if isinstance(found, dict) else None


Find = Callable[[Place, Budget], list[Place]]


def root(document: dict[str, Any]) -> Place:
    """The resource itself."""
    return Place({"": document}, "", None, str(document.get("resourceType", "")))


def parsed(text: object) -> Node:
    """The tree of a path; Refused where it is none, too long, or more than a place needs."""
    if not isinstance(text, str) or not text.strip():
        raise Refused("path must be a FHIRPath", "invalid")
    if len(text) > LONGEST:
        raise Refused(f"path is longer than {LONGEST} characters", "too-long")
    try:
        return parse(text)
    except (NotNative, PathError, RecursionError, ValueError):
        raise Refused("path is not a FHIRPath that names a place", "invalid") from None


def finder(node: Node, shapes: Shapes) -> Find:
    """The places of a path."""
    match node:
        case This():
            return lambda start, _budget: [start]
        case Member(This(), name) if name[:1].isupper():
            return lambda start, _budget: [_checked(start, name)]
        case Member(base, name):
            return _members(finder(base, shapes), name, shapes)
        case Index(base, Literal((int() as at,))):
            return _sliced(finder(base, shapes), lambda items: items[at : at + 1])
        case TypeTest("as" | "ofType", base, type_):
            return _filtered(finder(base, shapes), lambda place: place.shape == type_)
        case Call(base, name, arguments):
            return _called(finder(base, shapes), name, arguments, shapes)
    raise Refused("path does not name a place", "not-supported")


def member(place: Place, name: str, shapes: Shapes) -> Element:
    """What the definitions say of a child element; Refused where they have none."""
    element = shapes.element(place.shape, name)
    if element is None:
        raise Refused("the path names an element that is not defined", "structure")
    return element


def items(parent: Place, element: Element, key: str) -> list[Place]:
    """The places of the element that stand under one key."""
    holder = parent.node or {}
    pair = holder.get(key), holder.get(f"_{key}")
    lengths = [len(part) for part in pair if isinstance(part, list)]
    if not lengths and pair == (None, None):
        return []
    places = range(max(lengths)) if lengths else (None,)
    shape = element.keys[key]
    return [
        Place(holder, key, at, _actual(shape, _item(pair[0], at)), element, parent) for at in places
    ]


def _actual(shape: str, value: Any) -> str:
    if shape in _ABSTRACT and isinstance(value, dict):
        return str(value.get("resourceType", shape))
    return shape


def _item(found: Any, at: int | None) -> Any:
    if at is None:
        return found
    return found[at] if isinstance(found, list) and at < len(found) else None


def _checked(start: Place, name: str) -> Place:
    if name != start.shape and name not in _ABSTRACT:
        raise Refused("path begins with another type than the resource's", "invalid")
    return start


def _members(bases: Find, name: str, shapes: Shapes) -> Find:
    def run(start: Place, budget: Budget) -> list[Place]:
        found: list[Place] = []
        for base in bases(start, budget):
            element = member(base, name, shapes)
            for key in _present(element, base.node or {}):
                found += items(base, element, key)
        budget.spend(1 + len(found))
        return found

    return run


def _present(element: Element, node: Mapping[str, Any]) -> list[str]:
    return [key for key in element.keys if key in node or f"_{key}" in node]


def _sliced(bases: Find, part: Callable[[list[Place]], list[Place]]) -> Find:
    return lambda start, budget: part(bases(start, budget))


def _filtered(bases: Find, wanted: Callable[[Place], Any]) -> Find:
    def run(start: Place, budget: Budget) -> list[Place]:
        found = bases(start, budget)
        budget.spend(len(found))
        return [place for place in found if wanted(place)]

    return run


def _called(bases: Find, name: str, arguments: tuple[Node, ...], shapes: Shapes) -> Find:
    if name == "where" and len(arguments) == 1:
        return _where(bases, arguments[0])
    if name in _SLICES and not arguments:
        return _sliced(bases, _SLICES[name])
    if name == "extension" and len(arguments) == 1 and isinstance(arguments[0], Literal):
        urls = arguments[0].values
        extensions = _members(bases, "extension", shapes)
        return _filtered(extensions, lambda place: (place.node or {}).get("url") in urls)
    raise Refused(f"path may not use {name}()", "not-supported")


def _single(places: list[Place]) -> list[Place]:
    if len(places) > 1:
        raise Refused("path leads to more than one element where it says single()")
    return places


_SLICES: Mapping[str, Callable[[list[Place]], list[Place]]] = {
    "first": lambda places: places[:1],
    "last": lambda places: places[-1:],
    "single": _single,
}


def _where(bases: Find, criteria: Node) -> Find:
    weight = _checked_weight(criteria)
    try:
        holds = condition(criteria)
    except NotNative:
        raise Refused("path uses criteria that are not supported", "not-supported") from None

    def run(start: Place, budget: Budget) -> list[Place]:
        found = bases(start, budget)
        for place in found:
            budget.spend(weight * size(place.focus))
        return [place for place in found if _holds(holds, place.focus)]

    return run


def _holds(criteria: Condition, focus: Any) -> bool:
    try:
        return criteria(focus, focus, focus) is True
    except Exception as error:
        raise Refused("path asks what cannot be answered of this resource") from error


def _checked_weight(node: Node) -> int:
    """How often the criteria may read an item; Refused where it could be more."""
    match node:
        case This() | Literal():
            return 1
        case Member(base, _) | TypeTest(_, base, _):
            parts: tuple[Node, ...] = (base,)
        case Index(base, Literal()):
            parts = (base,)
        case Call(base, name, arguments) if name in _CRITERIA:
            parts = (base, *arguments)
        case Binary(operator, left, right) if operator in _OPERATORS:
            parts = (left, right)
        case Call() | Index() | Binary() | Variable():
            raise Refused("path uses criteria that are not supported", "not-supported")
    return 1 + sum(map(_checked_weight, parts))
