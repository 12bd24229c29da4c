"""Versions of a resource: the current one from its own table, older ones from history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Integer,
    Select,
    Subquery,
    Text,
    any_,
    bindparam,
    cast,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from fhir_server.store.search.cursor import Place
from fhir_server.store.session import Row, Session
from fhir_server.store.span import ALWAYS, Span
from fhir_server.store.sql import constant, sql_text
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Instant, Tables

LAST = 2**31 - 1
_NEWEST = Place([LAST])
_COLUMNS = ("version", "updated", "body", "made")


class History:
    """Reads versions; who may see them is the caller's question."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._page = lru_cache(maxsize=128)(self._compile_page)
        self._one = lru_cache(maxsize=128)(self._compile_one)
        self._count = lru_cache(maxsize=128)(self._compile_count)
        self._last = sql_text(_last(tables))

    async def page(
        self,
        session: Session,
        resource_type: str,
        id: str,
        *,
        place: Place | None = None,
        limit: int,
        span: Span = ALWAYS,
    ) -> tuple[list[Stored], bool]:
        """Versions below that of `place`, newest first, or those just above where it is before a
        version, and whether there are more that way; an empty body is a deletion."""
        at, before = place or _NEWEST
        args = {**_args(id, span), "place": at[0] if at else 0, "limit": limit + 1}
        rows = await session.fetch(self._page(resource_type, span.bounded, before), args)
        shown = rows[limit - 1 :: -1] if before else rows[:limit]
        return [_stored(resource_type, id, row) for row in shown], len(rows) > limit

    async def version(
        self, session: Session, resource_type: str, id: str, version: int
    ) -> Stored | None:
        """One version, or None where there never was one."""
        args = {"id": id, "version": version}
        rows = await session.fetch(self._one(resource_type), args)
        return _stored(resource_type, id, rows[0]) if rows else None

    async def count(
        self, session: Session, resource_type: str, id: str, span: Span = ALWAYS
    ) -> int:
        """How many versions there are."""
        rows = await session.fetch(self._count(resource_type, span.bounded), _args(id, span))
        return int(rows[0][0])

    async def last_superseded(
        self, session: Session, resource_type: str, ids: Sequence[str]
    ) -> dict[str, int]:
        """The highest version no longer current, of those that have one."""
        rows = await session.fetch(self._last, {"type": resource_type, "ids": ids})
        return dict(rows)

    def _compile_page(self, resource_type: str, bounded: bool, before: bool) -> str:  # noqa: FBT001 - a key
        versions = self._within(resource_type, bounded)
        number, place = versions.c.version, cast(bindparam("place"), Integer)
        return sql_text(
            select(*(versions.c[name] for name in _COLUMNS))
            .where(number > place if before else number < place)
            .order_by(number.asc() if before else number.desc())
            .limit(bindparam("limit"))
        )

    def _compile_one(self, resource_type: str) -> str:
        versions = self._versions(resource_type)
        return sql_text(
            select(versions).where(versions.c.version == cast(bindparam("version"), Integer))
        )

    def _compile_count(self, resource_type: str, bounded: bool) -> str:  # noqa: FBT001 - a key
        return sql_text(select(func.count()).select_from(self._within(resource_type, bounded)))

    def _within(self, resource_type: str, bounded: bool) -> Subquery:  # noqa: FBT001
        """The versions of the span; only a bounded one looks at each version's successor."""
        versions = self._versions(resource_type)
        if not bounded:
            return select(versions).where(versions.c.updated >= instant("since")).subquery()
        until = func.lead(versions.c.updated).over(order_by=versions.c.version)
        ended = select(versions, until.label("until")).subquery()
        met = (
            ended.c.updated >= instant("since"),
            ended.c.updated < instant("high"),
            or_(ended.c.until.is_(None), ended.c.until > instant("low")),
        )
        return select(ended).where(*met).subquery()

    def _versions(self, resource_type: str) -> Subquery:
        current = self._tables.resources[resource_type].current
        history = self._tables.history
        older = history.c.type == constant(resource_type)
        return union_all(_versions_of(current), _versions_of(history).where(older)).subquery()


def instant(name: str) -> BindParameter[datetime]:
    """A bound point in time."""
    return bindparam(name, type_=Instant)


def _versions_of(table: Any) -> Select[Any]:
    return select(*(table.c[name] for name in _COLUMNS)).where(
        table.c.id == cast(bindparam("id"), Text)
    )


def _args(id: str, span: Span) -> dict[str, Any]:
    args = {"id": id, "since": span.since}
    return {**args, "low": span.low, "high": span.high} if span.bounded else args


def _stored(resource_type: str, id: str, row: Row) -> Stored:
    version, updated, body, made = row
    return Stored(resource_type, id, version, updated, body or b"", made)


def _last(tables: Tables) -> Select[Any]:
    history = tables.history
    return (
        select(history.c.id, func.max(history.c.version))
        .where(
            history.c.type == cast(bindparam("type"), Text),
            history.c.id == any_(cast(bindparam("ids"), ARRAY(Text))),
        )
        .group_by(history.c.id)
    )
