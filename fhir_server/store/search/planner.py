"""A search request planned and run.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from fhir_server.context import Context
from fhir_server.definitions.model import Definitions
from fhir_server.problems import Problem
from fhir_server.store.search.asking import MOST_BRANCHES, MOST_LINKS, MOST_TERMS, Asking, Budget
from fhir_server.store.search.criteria import criterion
from fhir_server.store.search.cursor import Cursors
from fhir_server.store.search.includes import Asked, Include, included, only_new
from fhir_server.store.search.node import EVERYTHING, NOTHING, Node, all_of
from fhir_server.store.search.order import Key, keys_of
from fhir_server.store.search.page import Derived, Fetches, Page, Pair, Reach
from fhir_server.store.search.paging import around
from fhir_server.store.search.planning import Planned, Planning
from fhir_server.store.search.statement import estimate_sql, search_sql, several_sql
from fhir_server.store.search.terms import (
    MOST_ASKED,
    Ask,
    Coded,
    NoTerms,
    Terms,
    Told,
    Untold,
    telling,
)
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables

if TYPE_CHECKING:  # access.py is built on the search's criteria
    from fhir_server.store.access import Access

Handling = Literal["strict", "lenient"]
Result = TypeVar("Result")
NOTHING_TOLD: Final[Told] = MappingProxyType({})
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Query:
    """A planned search: one statement, its arguments, and the plan by which to read its rows."""

    ctx: Context
    reach: Reach | None
    sql: str
    args: dict[str, Any]
    plan: Planned

    @property
    def used(self) -> list[Pair]:
        """The parameters that take part."""
        return self.plan.used


class Planner:
    """Plans searches on `tables` and keeps the statement of each shape.

    `cursor_key` signs cursors; `base` is this server's own URL, under which absolute references
    are local.
    """

    def __init__(
        self,
        definitions: Definitions,
        tables: Tables,
        access: Access,
        cursor_key: bytes,
        base: str | None = None,
        terms: Terms | None = None,
    ) -> None:
        self._terms: Terms = terms or NoTerms()
        self._definitions = definitions
        self._access = access
        self._cursors = Cursors(cursor_key)
        self._base = base
        self._keys_of = lru_cache(maxsize=1024)(self._sort)
        self._search_sql = lru_cache(maxsize=1024)(lambda shape: search_sql(tables, shape))
        self._estimate_sql = lru_cache(maxsize=256)(lambda shape: estimate_sql(tables, shape))
        self._several_sql = lru_cache(maxsize=256)(lambda shapes: several_sql(tables, shapes))

    def plan(
        self,
        ctx: Context,
        resource_type: str,
        params: Sequence[Pair],
        *,
        handling: Handling = "strict",
        derived: Sequence[Derived] = (),
        required: Sequence[Pair] = (),
        reach: Reach | None = None,
        compartment: str | None = None,
        told: Told = NOTHING_TOLD,
    ) -> Query:
        """The search for `params`; `required` are further criteria of the server's own; `reach`
        says what the caller's scopes limit each type to that the search touches; `compartment`
        is the resource (`Patient/x`) in whose compartment the matches lie; `told` is what `telling`
        found out.

        Problem 400: not-supported (unknown parameter under strict handling), value, invalid,
        too-costly.
        """
        asking = self.asking(ctx, reach, told)
        own = derived or required
        trusted = replace(self._access.trusted(ctx), policy=asking.policy) if own else asking
        planning = Planning(ctx, resource_type, asking, trusted, self._cursors, self._keys_of)
        if compartment:
            planning.within(compartment, self._definitions.compartments)
        plan = planning.planned(params, derived, required, lenient=handling == "lenient")
        args = _args(plan.values)
        if plan.shape.limit is None:
            args["page_limit"] = plan.size + 1
        return Query(ctx, reach, self._search_sql(plan.shape), args, plan)

    async def telling(self, plan: Callable[[Told], Result]) -> Result:
        """The result of `plan`, which is told what only somebody else knows of the codes it asks
        about; done before a database session is taken."""
        told: dict[Ask, Sequence[Coded]] = {}
        while True:
            try:
                return plan(told)
            except Untold as missing:
                if len(told) == MOST_ASKED:
                    raise Problem(400, "too-costly", "too many value sets at once") from None
                told[missing.ask] = await self._terms.fetch(missing.ask)

    def meaning(
        self, ctx: Context, resource_type: str, params: Sequence[Pair], told: Told = NOTHING_TOLD
    ) -> str:
        """One text for all criteria that ask the same, whoever asks, and whenever, and however
        they are written."""
        asking = replace(self.asking(ctx, told=told), policy=lambda _: EVERYTHING, now=_ANY_TIME)
        return "&".join(sorted(repr(criterion(asking, resource_type, *pair)) for pair in params))

    async def run(self, session: Fetches, query: Query) -> Page:
        """The page that `query` asks for."""
        plan, shape = query.plan, query.plan.shape
        rows = await session.fetch(query.sql, query.args)
        if not shape.rows:
            return Page([], total=rows[0][0], used=plan.used)
        if shape.referring:
            others = [(row[-1], *row[:4]) for row in rows if row[-1]]
            rows = [row[:-1] for row in rows if not row[-1]]
        shown, more = rows[: plan.size], len(rows) > plan.size
        if plan.place and plan.place.before:
            shown.reverse()
        matches = [Stored(shape.type, *row[:4]) for row in shown]
        at = 4 + len(shape.order)
        derived = [row[at : at + len(shape.derived)] for row in shown] if shape.derived else []
        total = rows[0][-1] if shape.total and rows else None
        if total is None and plan.place is None and not more:
            total = len(matches)
        if total is None and plan.estimate:
            total = await self._estimate(session, query)
        if shape.referring:
            found = only_new(others, matches)
        else:
            found = await self.included(session, query.ctx, query.reach, plan.includes, matches)
        ends = (shown[0][4:at], shown[-1][4:at]) if shown else None
        cursors = around(partial(self._cursors.write, plan.scope), plan.place, ends, more=more)
        return Page(matches, found, total, cursors, plan.used, derived, plan.cursor)

    async def _estimate(self, session: Fetches, query: Query) -> int:
        """How many matches there are, or enough of them."""
        rows = await session.fetch(self._estimate_sql(query.plan.shape), query.args)
        return int(rows[0][0])

    async def included(
        self,
        session: Fetches,
        ctx: Context,
        reach: Reach | None,
        includes: Sequence[Include],
        matches: list[Stored],
    ) -> list[Stored]:
        """What `includes` reach from `matches`, as far as the caller may see it."""
        if not includes:
            return []

        async def ask(asked: list[Asked]) -> list[tuple[Any, ...]]:
            sql = self._several_sql(tuple(shape for shape, _ in asked))
            return await session.fetch(sql, _args([v for _, vs in asked for v in vs]))

        return await included(self.asking(ctx, reach), includes, matches, ask)

    def asking(self, ctx: Context, reach: Reach | None = None, told: Told = NOTHING_TOLD) -> Asking:
        """How the caller asks: every type bound by the access policy and by `reach`."""
        return Asking(
            tenant=ctx.tenant,
            types=self._definitions.types,
            now=ctx.now,
            policy=lambda resource_type: self._policy(ctx, resource_type, reach),
            base=self._base,
            budget=Budget(MOST_BRANCHES, MOST_LINKS, MOST_TERMS),
            answer=telling(self._terms, told),
        )

    def _sort(self, resource_type: str, sort: str) -> tuple[Key, ...]:
        return keys_of(self._definitions.types[resource_type], sort)

    def _policy(self, ctx: Context, resource_type: str, reach: Reach | None) -> Node:
        node = self._access.node(ctx, resource_type)
        criteria = reach(resource_type) if reach else ()
        if criteria is None:
            return NOTHING
        if not criteria:
            return node
        trusted = self._access.trusted(ctx)
        return all_of([node, *(criterion(trusted, resource_type, *pair) for pair in criteria)])


def _args(values: Sequence[Any]) -> dict[str, Any]:
    return {f"v{n}": value for n, value in enumerate(values)}
