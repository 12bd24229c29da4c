"""Versions of all resources of one or several types, newest first.

A version keeps its time, type, id and number when a newer one supersedes it and it moves to
history, so these four are a place in the order that no later write shifts: a page continues after
its last row, or ends before its first, whatever was written meanwhile. Each type adds its current
rows and its superseded rows, each part in the order of an index and cut at the limit.

A past version is shown where the access policy shows the current one. Of a resource that has none
any more, to system clients that may see the whole type.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    literal_column,
    select,
    tuple_,
    union_all,
)

from fhir_server.context import Context
from fhir_server.store.history import instant
from fhir_server.store.search.building import Condition, Row
from fhir_server.store.search.cursor import Cursors, scope_of
from fhir_server.store.search.node import EVERYTHING, NOTHING, Shape
from fhir_server.store.search.order import Key
from fhir_server.store.search.page import Reach
from fhir_server.store.search.paging import Around, Ends, around
from fhir_server.store.search.planner import Planner
from fhir_server.store.search.predicates import Binds, Builder
from fhir_server.store.session import Session
from fhir_server.store.span import Span
from fhir_server.store.sql import constant, sql_text
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables

_COLUMNS = ("id", "version", "updated", "body", "made")
_PLACE = ("updated", "type", "id", "version")
_KEYS = tuple(Key(name, name, descending=True) for name in _PLACE)


class _Part(NamedTuple):
    """A type and the condition on its current rows; `gone` where it needs no current row."""

    type: str
    where: Shape
    gone: bool


class _Question(NamedTuple):
    """What a statement's text depends on."""

    parts: tuple[_Part, ...]
    bounded: bool
    continued: bool
    backward: bool


class Timeline:
    """Reads versions that the caller may see; `planner` knows what that is."""

    def __init__(self, tables: Tables, planner: Planner, cursor_key: bytes) -> None:
        self._tables = tables
        self._planner = planner
        self._cursors = Cursors(cursor_key)
        self._sql = lru_cache(maxsize=256)(self._compile)

    async def page(
        self,
        session: Session,
        ctx: Context,
        types: Sequence[str],
        *,
        span: Span,
        reach: Reach,
        limit: int,
        cursor: str = "",
    ) -> tuple[list[Stored], Around]:
        """Versions, and the pages around them; Problem 400 for a cursor that is not one of this
        history."""
        scope = _scope(ctx, types, span)
        place = self._cursors.read(scope, _KEYS, cursor) if cursor else None
        backward, values_at = (place.before, place.values) if place else (False, [])
        parts, values = self._parts(ctx, types, reach)
        if not parts:
            return [], Around()
        sql = self._sql(_Question(parts, span.bounded, bool(values_at), backward))
        rows = await session.fetch(sql, _args(values, span, values_at, limit + 1))
        found = [Stored(t, i, v, u, body or b"", made) for t, i, v, u, body, made in rows[:limit]]
        if backward:
            found.reverse()
        write = partial(self._cursors.write, scope)
        return found, around(write, place, _ends(found), more=len(rows) > limit)

    def _parts(
        self, ctx: Context, types: Sequence[str], reach: Reach
    ) -> tuple[tuple[_Part, ...], list[Any]]:
        policy = self._planner.asking(ctx, reach).policy
        seen = [(name, node) for name in types if (node := policy(name)) != NOTHING]
        parts = (
            _Part(name, node.shape, ctx.is_system and node == EVERYTHING) for name, node in seen
        )
        return tuple(parts), [value for _, node in seen for value in node.values]

    def _compile(self, question: _Question) -> str:
        build = Builder(self._tables, Binds())
        found = [s for part in question.parts for s in self._selects(build, part, question)]
        limit = bindparam("limit", type_=Integer)
        cut = [
            select(s.order_by(*_order(s.selected_columns, question)).limit(limit).subquery())
            for s in found
        ]
        page = union_all(*cut).subquery("page")
        return sql_text(select(page).order_by(*_order(page.c, question)).limit(limit))

    def _selects(self, build: Builder, part: _Part, question: _Question) -> Iterator[Select[Any]]:
        """The current rows, then the superseded ones; both bind the same values."""
        start = build.binds.at
        row = build.row(part.type)
        yield _select(part, row.c, question).where(build.where(part.where, row))
        build.binds.at = start
        old = self._tables.history.alias()
        superseded = _select(part, old.c, question).where(old.c.type == constant(part.type))
        current = build.row(part.type)
        shown = build.where(part.where, current)
        if not part.gone:
            superseded = superseded.where(_of_same(current, old, shown))
        if question.bounded:
            superseded = superseded.where(*self._in_force(build.row(part.type), part, old))
        yield superseded

    def _in_force(self, current: Row, part: _Part, old: FromClause) -> Iterator[Condition]:
        """Its successor, current or superseded itself, came after `low`."""
        later = self._tables.history.alias()
        same = later.c.type == constant(part.type), later.c.id == old.c.id
        yield ~exists(select(later.c.id).where(*same, _follows(later, old)))
        yield ~_of_same(current, old, _follows(current.source, old))


def _select(part: _Part, columns: Any, question: _Question) -> Select[Any]:
    """The columns of a page, cut by time and by the place to continue from."""
    kind = constant(part.type)
    found = select(kind.label("type"), *(columns[name] for name in _COLUMNS)).where(
        columns.updated >= instant("since")
    )
    if question.bounded:
        found = found.where(columns.updated < instant("high"))
    if not question.continued:
        return found
    place = columns.updated, kind.collate("C"), columns.id, columns.version
    # The first comparison follows from the second, and an index can serve it.
    if question.backward:
        return found.where(columns.updated >= instant("after_updated"), tuple_(*place) > _after())
    return found.where(columns.updated <= instant("after_updated"), tuple_(*place) < _after())


def _after() -> ColumnElement[Any]:
    return tuple_(
        instant("after_updated"),
        cast(bindparam("after_type"), Text),
        cast(bindparam("after_id"), Text),
        cast(bindparam("after_version"), Integer),
    )


def _order(columns: Any, question: _Question) -> list[ColumnElement[Any]]:
    """Newest first, or from the end."""
    place = columns.updated, columns.type.collate("C"), columns.id, columns.version
    return [column.asc() if question.backward else column.desc() for column in place]


def _ends(found: Sequence[Stored]) -> Ends | None:
    if not found:
        return None
    first, last = ([s.updated, s.type, s.id, s.version] for s in (found[0], found[-1]))
    return first, last


def _of_same(current: Row, old: FromClause, met: Condition) -> Condition:
    """The resource has a current row that meets a condition."""
    return exists(select(current.c.id).where(and_(current.c.id == old.c.id, met)))


def _follows(later: FromClause, old: FromClause) -> Condition:
    following = later.c.version == old.c.version + literal_column("1")
    return and_(following, later.c.updated <= instant("low"))


def _args(values: Sequence[Any], span: Span, after: Sequence[Any], limit: int) -> dict[str, Any]:
    args = {f"v{n}": value for n, value in enumerate(values)}
    args |= {"since": span.since, "limit": limit}
    args |= {"low": span.low, "high": span.high} if span.bounded else {}
    return args | {f"after_{name}": value for name, value in zip(_PLACE, after, strict=False)}


def _scope(ctx: Context, types: Sequence[str], span: Span) -> bytes:
    times = [(name, getattr(span, name).isoformat()) for name in ("since", "low", "high")]
    return scope_of(ctx, "_history", [*times, *(("type", name) for name in types)], _KEYS)
