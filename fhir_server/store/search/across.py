"""A search of several types at once: `GET [base]?_type=Communication,Encounter`.

Each type is a search of its own, with the types' common parameters, the access policy of the type
and the limit of the page; one statement merges their rows. The type is the last key of the order,
for two types may have the same id.
https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

from fhir_server.context import Context
from fhir_server.problems import Problem
from fhir_server.store.search import result
from fhir_server.store.search.asking import (
    MOST_BRANCHES,
    MOST_LINKS,
    MOST_TERMS,
    Asking,
    Budget,
    NotSupported,
)
from fhir_server.store.search.criteria import conditions
from fhir_server.store.search.cursor import Cursors, Place, scope_of
from fhir_server.store.search.drive import driven, filtering
from fhir_server.store.search.includes import Include, includes_of
from fhir_server.store.search.node import NOTHING, Node, all_of
from fhir_server.store.search.order import Key, backward, keys_across
from fhir_server.store.search.page import Fetches, Page, Pair, Reach
from fhir_server.store.search.paging import around
from fhir_server.store.search.planner import NOTHING_TOLD, Handling, Planner
from fhir_server.store.search.statement import USUAL_LIMITS, SearchShape, across_sql
from fhir_server.store.search.terms import Told
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables


class _Part(NamedTuple):
    """One type's search and its values."""

    shape: SearchShape
    values: list[Any]


@dataclass(frozen=True, slots=True)
class Search:
    """A planned search; `parts` is empty where the caller may see none of the types."""

    ctx: Context
    reach: Reach
    parts: tuple[_Part, ...]
    order: tuple[Key, ...]
    asked: result.ResultParameters
    includes: tuple[Include, ...]
    used: list[Pair]
    scope: bytes
    place: Place | None


class Across:
    """Searches several types; `planner` knows what the caller may see of each."""

    def __init__(self, tables: Tables, planner: Planner, cursor_key: bytes) -> None:
        self._planner = planner
        self._cursors = Cursors(cursor_key)
        self._sql = lru_cache(maxsize=256)(lambda shapes: across_sql(tables, shapes))

    def plan(
        self,
        ctx: Context,
        types: Sequence[str],
        params: Sequence[Pair],
        *,
        handling: Handling = "strict",
        reach: Reach,
        told: Told = NOTHING_TOLD,
    ) -> Search:
        """The search of `types` for `params`, which each that the caller may see must have.

        Problem 400: not-supported (a parameter that a type lacks, under strict handling), value,
        invalid, too-costly.
        """
        budget = Budget(MOST_BRANCHES, MOST_LINKS, MOST_TERMS * len(types))
        asking = replace(self._planner.asking(ctx, reach, told), budget=budget)
        seen = [name for name in types if asking.policy(name) != NOTHING]
        types = seen or types
        asked = result.read(params)
        common = _Common(asking, types)
        nodes = common.criteria(asked.criteria)
        includes = common.includes(asked.includes)
        order = common.order(asked.sort)
        if common.unknown and handling != "lenient":
            raise Problem(400, "not-supported", "; ".join(common.unknown))
        bound = [("_type", ",".join(types)), *asked.criteria]
        scope = scope_of(ctx, "", bound, order)
        place = self._cursors.read(scope, order, asked.cursor) if asked.cursor else None
        walked = backward(order) if place and place.before else order
        parts = [_part(asking, name, nodes[name], walked, place, asked) for name in seen]
        others = [pair for pair in asked.others if pair[0] != "_sort" or common.sorted]
        used = [*common.used, *others]
        return Search(ctx, reach, tuple(parts), order, asked, tuple(includes), used, scope, place)

    async def run(self, session: Fetches, search: Search) -> Page:
        """The page that `search` asks for."""
        asked = search.asked
        if not search.parts:
            return Page([], total=0, used=search.used)
        values = [value for part in search.parts for value in part.values]
        args = {f"v{n}": value for n, value in enumerate(values)}
        args |= {} if search.parts[0].shape.limit else {"page_limit": asked.count + 1}
        sql = self._sql(tuple(part.shape for part in search.parts))
        rows = await session.fetch(sql, args)
        if not asked.count:
            return Page([], total=int(rows[0][0]), used=search.used)
        shown, more = rows[: asked.count], len(rows) > asked.count
        if search.place and search.place.before:
            shown.reverse()
        matches = [Stored(*row[:5]) for row in shown]
        total = int(rows[0][-1]) if search.parts[0].shape.total and rows else None
        if total is None and not asked.cursor and not more:
            total = len(matches)
        found = await self._planner.included(
            session, search.ctx, search.reach, search.includes, matches
        )
        at = 5 + len(search.order)
        ends = (shown[0][5:at], shown[-1][5:at]) if shown else None
        write = partial(self._cursors.write, search.scope)
        cursors = around(write, search.place, ends, more=more)
        return Page(matches, found, total, cursors, search.used, cursor=asked.cursor)


class _Common:
    """What all of `types` have in common: `unknown` is what is not."""

    def __init__(self, asking: Asking, types: Sequence[str]) -> None:
        self._asking = asking
        self._types = types
        self.unknown: list[str] = []
        self.used: list[Pair] = []
        self.sorted = False

    def criteria(self, pairs: Sequence[Pair]) -> dict[str, list[Node]]:
        """The conditions on each type."""
        asking, types = self._asking, self._types
        asking.budget.test(len(pairs) * len(types))
        hops = sum(name.count(".") + name.count("_has:") for name, _ in pairs)
        asking.budget.link(hops * len(types))
        found: dict[str, list[Node]] = {name: [] for name in types}
        for pair in pairs:
            try:
                nodes = {name: conditions(asking, name, *pair) for name in types}
            except NotSupported as error:
                self.unknown.append(error.diagnostics)
            else:
                self.used.append(pair)
                for name in types:
                    found[name] += nodes[name]
        return found

    def includes(self, pairs: Sequence[Pair]) -> list[Include]:
        """What the matches' includes follow."""
        found, used, unknown = includes_of(self._asking, self._types, pairs)
        self.used += used
        self.unknown += unknown
        return found

    def order(self, sort: str) -> tuple[Key, ...]:
        """The keys; those of a search without `_sort` where it names others."""
        try:
            found = keys_across(sort)
        except NotSupported as error:
            self.unknown.append(error.diagnostics)
            return keys_across("")
        self.sorted = bool(sort)
        return found


def _part(
    asking: Asking,
    name: str,
    nodes: list[Node],
    order: tuple[Key, ...],
    place: Place | None,
    asked: result.ResultParameters,
) -> _Part:
    drive, values, rest = driven(asking.types[name], nodes, order)
    where = all_of([*rest, asking.policy(name)])
    where = filtering(where) if drive else where
    limit = asked.count + 1
    shape = SearchShape(
        name,
        where.shape,
        drive,
        order,
        (False,) * len(order) if place and place.values else None,
        limit if limit in USUAL_LIMITS else None,
        # Several estimates would have to be made: counting is simpler.
        total=asked.total != "none",
        rows=asked.count > 0,
    )
    # A count is not of what comes after the cursor.
    position = place.values if place and shape.rows else []
    return _Part(shape, [*values, *where.values, *position])
