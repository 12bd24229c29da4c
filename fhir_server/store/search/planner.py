"""A search request planned and run.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from fhir_server.context import Context
from fhir_server.definitions.model import Definitions, ServedType
from fhir_server.problems import Problem
from fhir_server.store.search import order, result
from fhir_server.store.search.asking import Asking, NotSupported
from fhir_server.store.search.criteria import criterion
from fhir_server.store.search.cursor import Cursors, scope_of
from fhir_server.store.search.includes import Asked, Include, include, included
from fhir_server.store.search.literals import checked
from fhir_server.store.search.node import NOTHING, Node, all_of
from fhir_server.store.search.page import Derived, Fetches, Page, Pair, Query, Reach
from fhir_server.store.search.statement import (
    USUAL_LIMITS,
    DerivedShape,
    Drive,
    SearchShape,
    search_sql,
    several_sql,
)
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables

if TYPE_CHECKING:  # access.py is built on the search's criteria
    from fhir_server.store.access import Access

Handling = Literal["strict", "lenient"]
MOST_CRITERIA = 64


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
    ) -> None:
        self._definitions = definitions
        self._access = access
        self._cursors = Cursors(cursor_key)
        self._base = base
        self._search_sql = lru_cache(maxsize=2048)(lambda shape: search_sql(tables, shape))
        self._several_sql = lru_cache(maxsize=512)(lambda shapes: several_sql(tables, shapes))

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
    ) -> Query:
        """The search for `params`; `required` are further criteria of the server's own; `reach`
        says what the caller's scopes limit each type to that the search touches.

        Problem 400: not-supported (unknown parameter under strict handling), value, invalid,
        too-costly.
        """
        plan = _Plan(self, ctx, resource_type, handling, reach)
        return plan.query(params, derived, required)

    async def run(self, session: Fetches, query: Query) -> Page:
        """The page that `query` asks for."""
        rows = await session.fetch(query.sql, query.args)
        if not query.rows:
            return Page([], total=rows[0][0], used=query.used)
        shown, more = rows[: query.count], len(rows) > query.count
        matches = [Stored(query.type, *row[:4]) for row in shown]
        at = 4 + len(query.order)
        derived = [row[at : at + query.derived] for row in shown] if query.derived else []
        total = rows[0][-1] if query.total and rows else None
        if total is None and query.first and not more:
            total = len(matches)
        found = await self._included(session, query, matches) if query.includes else []
        cursor = self._next(query, shown[-1]) if more else None
        return Page(matches, found, total, cursor, query.used, derived)

    def _next(self, query: Query, row: tuple[Any, ...]) -> str:
        return self._cursors.write(query.scope, row[4 : 4 + len(query.order)])

    async def _included(
        self, session: Fetches, query: Query, matches: list[Stored]
    ) -> list[Stored]:
        async def ask(asked: list[Asked]) -> list[tuple[Any, ...]]:
            sql = self._several_sql(tuple(shape for shape, _ in asked))
            return await session.fetch(sql, _args([v for _, vs in asked for v in vs]))

        asking = self.asking(query.ctx, query.reach)
        return await included(asking, query.includes, matches, ask)

    def asking(self, ctx: Context, reach: Reach | None = None) -> Asking:
        """How the caller asks: every type bound by the access policy and by `reach`."""
        return Asking(
            tenant=ctx.tenant,
            types=self._definitions.types,
            now=ctx.now,
            policy=lambda resource_type: self._policy(ctx, resource_type, reach),
            base=self._base,
        )

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


class _Plan:
    """The planning of one request."""

    def __init__(
        self,
        planner: Planner,
        ctx: Context,
        resource_type: str,
        handling: Handling,
        reach: Reach | None,
    ) -> None:
        self._planner = planner
        self._ctx = ctx
        self._type = resource_type
        self._lenient = handling == "lenient"
        self._reach = reach
        self._asking = planner.asking(ctx, reach)
        self._served: ServedType = self._asking.served(resource_type)
        self._trusted = replace(planner._access.trusted(ctx), policy=self._asking.policy)
        self._unknown: list[str] = []
        self._used: list[Pair] = []

    def query(
        self, params: Sequence[Pair], derived: Sequence[Derived], required: Sequence[Pair]
    ) -> Query:
        asked = result.read(params)
        nodes = self._criteria(asked.criteria)
        includes = self._includes(asked.includes)
        sort = self._sort(asked.sort)
        self._refuse_unknown()
        self._used += [p for p in asked.others if p[0] != "_sort" or sort]
        nodes += [criterion(self._trusted, self._type, *pair) for pair in required]
        drive, values, nodes = _driven(self._served, nodes, sort)
        where = all_of([*nodes, self._access(self._type)])
        keys = sort or _natural(self._served, drive)
        values += where.values
        return self._finish(asked, includes, drive, where, keys, values, derived)

    def _finish(
        self,
        asked: result.ResultParameters,
        includes: list[Include],
        drive: Drive | None,
        where: Node,
        keys: tuple[order.Key, ...],
        values: list[Any],
        derived: Sequence[Derived],
    ) -> Query:
        scope = scope_of(self._ctx, self._type, asked.criteria, keys)
        missing = None
        if asked.cursor:
            after = self._planner._cursors.read(scope, keys, asked.cursor)
            missing = tuple(value is None for value in after)
            values += [value for value in after if value is not None]
        limit = asked.count + 1
        shapes = [self._derived(one, values) for one in derived]
        rows = asked.count > 0
        shape = SearchShape(
            self._type, where.shape, drive, keys, missing,
            limit if limit in USUAL_LIMITS else None,
            tuple(shapes), asked.total, rows,
        )  # fmt: skip
        args = _args(values)
        if shape.limit is None:
            args["page_limit"] = limit
        return Query(
            self._ctx, self._reach, self._type, self._planner._search_sql(shape), args, asked.count, keys,
            scope, missing is None, rows, asked.total, len(shapes), tuple(includes), self._used,
        )  # fmt: skip

    def _access(self, resource_type: str) -> Node:
        return self._asking.policy(resource_type)

    def _criteria(self, criteria: Sequence[Pair]) -> list[Node]:
        if len(criteria) > MOST_CRITERIA:
            raise Problem(400, "too-costly", f"more than {MOST_CRITERIA} parameters")
        nodes = []
        for pair in criteria:
            try:
                nodes.append(criterion(self._asking, self._type, *pair))
            except NotSupported as error:
                self._unknown.append(error.diagnostics)
            else:
                self._used.append(pair)
        return nodes

    def _includes(self, includes: Sequence[Pair]) -> list[Include]:
        found: list[Include] = []
        for name, value in includes:
            checked(name, value)
            try:
                found += include(self._asking, name, value)
            except NotSupported as error:
                self._unknown.append(error.diagnostics)
            else:
                self._used.append((name, value))
        return found

    def _sort(self, sort: str) -> tuple[order.Key, ...]:
        try:
            return order.keys_of(self._served, sort) if sort else ()
        except NotSupported as error:
            self._unknown.append(error.diagnostics)
            return ()

    def _refuse_unknown(self) -> None:
        if self._unknown and not self._lenient:
            raise Problem(400, "not-supported", "; ".join(self._unknown))

    def _derived(self, one: Derived, values: list[Any]) -> DerivedShape:
        """The shape of a derived field; its values are added to the statement's."""
        served = self._asking.served(one.type)
        asked = result.read(one.params)
        nodes = [criterion(self._trusted, one.type, *pair) for pair in asked.criteria]
        sort = order.keys_of(served, asked.sort) if asked.sort else ()
        drive, driven, nodes = _driven(served, nodes, sort, self._type)
        where = all_of([*nodes, self._access(one.type)])
        values += [*driven, *where.values]
        keys = sort or _natural(served, drive)
        return DerivedShape(one.kind, SearchShape(one.type, where.shape, drive, keys))


def _driven(
    served: ServedType, nodes: list[Node], sort: tuple[order.Key, ...], this: str = ""
) -> tuple[Drive | None, list[Any], list[Node]]:
    """The hot reference to drive by, its values, and the other nodes. One whose index is in the
    wanted order comes first."""
    found = [(at, *hot) for at, node in enumerate(nodes) if (hot := _hot(served, node))]
    if not found:
        return None, [], nodes
    wanted = sort[0][1:] if sort else None
    at, code, targets = next((f for f in found if wanted in _orders(served, f[1])), found[0])
    single = served.search[code].single
    rest = [_filter(node) for node in nodes[:at] + nodes[at + 1 :]]
    if targets is None:
        return Drive(code, many=False, single=single, this=this), [], rest
    many = len(targets) > 1
    return Drive(code, many, single), [targets if many else targets[0]], rest


def _filter(node: Node) -> Node:
    """Codes are shared by many resources: where a hot column drives, they only filter, else
    PostgreSQL would intersect its few rows with a large part of the key index."""
    return node._replace(shape=("filter",)) if node.shape == ("codes",) else node


def _hot(served: ServedType, node: Node) -> tuple[str, list[str] | None] | None:
    if node.hot:
        return node.hot
    if node.shape[0] == "this" and any(_orders(served, node.shape[1])):
        return node.shape[1], None
    return None


def _orders(served: ServedType, code: str) -> list[tuple[str, bool]]:
    """What the hot indexes on `code` are ordered by next."""
    return [
        index.columns[1]
        for index in served.indexes
        if index.columns[0][0] == code and len(index.columns) > 1
    ]


def _natural(served: ServedType, drive: Drive | None) -> tuple[order.Key, ...]:
    """The order of a search that asks for none: the driving index's, else by id, the oldest
    first."""
    following = _orders(served, drive.code) if drive else []
    if not following:
        return order.complete(())
    code, descending = following[0]
    return order.keys_of(served, f"-{code}" if descending else code)
