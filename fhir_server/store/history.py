"""Versions of a resource: the current one from its own table, older ones from history."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Integer,
    Select,
    Subquery,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from fhir_server.store.session import Row, Session
from fhir_server.store.span import ALWAYS, Span
from fhir_server.store.sql import constant, sql_text
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Instant, Tables

LAST = 2**31 - 1
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
        before: int = LAST,
        limit: int,
        span: Span = ALWAYS,
    ) -> list[Stored]:
        """Versions below `before`, newest first; an empty body is a deletion."""
        args = {**_args(id, span), "before": before, "limit": limit}
        rows = await session.fetch(self._page(resource_type, span.bounded), args)
        return [_stored(resource_type, id, row) for row in rows]

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

    async def last_superseded(self, session: Session, resource_type: str, id: str) -> int:
        """The highest version no longer current; 0 where there is none."""
        rows = await session.fetch(self._last, {"type": resource_type, "id": id})
        return int(rows[0][0])

    def _compile_page(self, resource_type: str, bounded: bool) -> str:  # noqa: FBT001 - a key
        versions = self._within(resource_type, bounded)
        return sql_text(
            select(*(versions.c[name] for name in _COLUMNS))
            .where(versions.c.version < cast(bindparam("before"), Integer))
            .order_by(versions.c.version.desc())
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
    return select(func.coalesce(func.max(history.c.version), literal_column("0"))).where(
        history.c.type == cast(bindparam("type"), Text), history.c.id == cast(bindparam("id"), Text)
    )
