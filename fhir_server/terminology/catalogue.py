"""The declared resources: read by id, and searched without a database.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.model import Definitions, ServedType
from fhir_server.problems import Problem, not_found
from fhir_server.store.search import result
from fhir_server.store.search.asking import NotSupported
from fhir_server.store.search.paging import NOTHING_AROUND, Around
from fhir_server.terminology.criteria import Test, criterion, parameter_of, values

Json = Mapping[str, Any]
Pair = tuple[str, str]
SORTS = 5


@dataclass(frozen=True, slots=True)
class Listing:
    """A page, the pages `around` it, and the parameters that took part (`used`); `cursor` is the
    one that was given."""

    matches: Sequence[Json]
    total: int | None
    around: Around
    used: Sequence[Pair]
    cursor: str


class Catalogue:
    """Every published type and its resources, in the order of their ids."""

    def __init__(self, definitions: Definitions) -> None:
        self.types = definitions.published
        self._resources = definitions.resources

    def read(self, type: str, id: str, criteria: Sequence[Pair] = ()) -> Json:
        """404 where there is none, or none that meets what a scope narrows to."""
        found = self._resources[type].get(id)
        served = self.types[type]
        if found is None or not all(criterion(served, *pair)(found) for pair in criteria):
            raise not_found(type)
        return found

    def search(
        self, type: str, params: Sequence[Pair], required: Sequence[Pair], *, lenient: bool
    ) -> Listing:
        """Problem 400 for a parameter that is unknown (when strict) or malformed."""
        asked = result.read(params)
        search = _Search(self.types[type])
        tests = [criterion(self.types[type], *pair) for pair in required]
        tests += [test for pair in asked.criteria if (test := search.test(pair))]
        search.refuse([name for name, _ in asked.includes])
        found = [r for r in self._resources[type].values() if all(test(r) for test in tests)]
        found = search.ordered(found, asked.sort)
        if search.unknown and not lenient:
            raise Problem(400, "not-supported", "; ".join(search.unknown))
        start = _position(asked.cursor)
        end = start + asked.count
        total = len(found) if asked.total != "none" or not asked.count else None
        pages = _around(start, asked.count, len(found)) if asked.count else NOTHING_AROUND
        used = [*search.used, *asked.others]
        return Listing(found[start:end], total, pages, used, asked.cursor)


class _Search:
    """What one search could use of its parameters, and what it could not."""

    def __init__(self, served: ServedType) -> None:
        self._served = served
        self.used: list[Pair] = []
        self.unknown: list[str] = []

    def test(self, pair: Pair) -> Test | None:
        try:
            found = criterion(self._served, *pair)
        except NotSupported as error:
            self.unknown.append(error.diagnostics)
            return None
        self.used.append(pair)
        return found

    def refuse(self, names: Sequence[str]) -> None:
        self.unknown += [f"{self._served.name} has no {name[:64]}" for name in names]

    def ordered(self, found: list[Json], sort: str) -> list[Json]:
        keys = [key for key in sort.split(",") if key]
        if len(keys) > SORTS:
            raise Problem(400, "too-costly", f"more than {SORTS} sort keys", expression="_sort")
        for key in reversed(keys):
            found = self._by(found, key)
        return found

    def _by(self, found: list[Json], key: str) -> list[Json]:
        """Resources without the value come last in both directions."""
        try:
            parameter = parameter_of(self._served, key.removeprefix("-"))
        except NotSupported as error:
            self.unknown.append(error.diagnostics)
            return found
        having = [r for r in found if values(parameter, r)]
        lacking = [r for r in found if not values(parameter, r)]
        having.sort(key=lambda r: min(values(parameter, r)), reverse=key.startswith("-"))
        return having + lacking


def _around(start: int, count: int, total: int) -> Around:
    return Around(
        str(start + count) if start + count < total else None,
        _place(max(min(start, total) - count, 0)) if start else None,
        _place(max(total - 1, 0) // count * count),
    )


def _place(start: int) -> str:
    return str(start) if start else ""


def _position(cursor: str) -> int:
    """Files do not change while the server runs, so a position is enough of a cursor."""
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):
        why = "_cursor is not a cursor of this search"
        raise Problem(400, "value", why, expression="_cursor")
    return int(cursor)
