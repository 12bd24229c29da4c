"""Versions of a resource: the current one from its own table, older ones from history."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Integer,
    Select,
    Subquery,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    union_all,
)

from fhir_server.store.session import Session
from fhir_server.store.sql import constant, sql_text
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables

LAST = 2**31 - 1


class History:
    """Reads versions; who may see them is the caller's question."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._page = lru_cache(maxsize=128)(self._compile_page)
        self._one = lru_cache(maxsize=128)(self._compile_one)
        self._count = lru_cache(maxsize=128)(self._compile_count)
        self._last = sql_text(_last(tables))

    async def page(
        self, session: Session, resource_type: str, id: str, *, before: int = LAST, limit: int
    ) -> list[Stored]:
        """Versions below `before`, newest first; an empty body is a deletion."""
        args = {"id": id, "before": before, "limit": limit}
        rows = await session.fetch(self._page(resource_type), args)
        return [Stored(resource_type, id, v, updated, body or b"") for v, updated, body in rows]

    async def version(
        self, session: Session, resource_type: str, id: str, version: int
    ) -> Stored | None:
        """One version, or None where there never was one."""
        args = {"id": id, "version": version}
        rows = await session.fetch(self._one(resource_type), args)
        found = [Stored(resource_type, id, v, updated, body or b"") for v, updated, body in rows]
        return found[0] if found else None

    async def count(self, session: Session, resource_type: str, id: str) -> int:
        """How many versions there are."""
        return int((await session.fetch(self._count(resource_type), {"id": id}))[0][0])

    async def last_superseded(self, session: Session, resource_type: str, id: str) -> int:
        """The highest version no longer current; 0 where there is none."""
        rows = await session.fetch(self._last, {"type": resource_type, "id": id})
        return int(rows[0][0])

    def _compile_page(self, resource_type: str) -> str:
        versions = self._versions(resource_type)
        return sql_text(
            select(versions)
            .where(versions.c.version < cast(bindparam("before"), Integer))
            .order_by(versions.c.version.desc())
            .limit(bindparam("limit"))
        )

    def _compile_one(self, resource_type: str) -> str:
        versions = self._versions(resource_type)
        return sql_text(
            select(versions).where(versions.c.version == cast(bindparam("version"), Integer))
        )

    def _compile_count(self, resource_type: str) -> str:
        return sql_text(select(func.count()).select_from(self._versions(resource_type)))

    def _versions(self, resource_type: str) -> Subquery:
        current = self._tables.resources[resource_type].current
        history = self._tables.history
        older = history.c.type == constant(resource_type)
        return union_all(_versions_of(current), _versions_of(history).where(older)).subquery()


def _versions_of(table: Any) -> Select[Any]:
    return select(table.c.version, table.c.updated, table.c.body).where(
        table.c.id == cast(bindparam("id"), Text)
    )


def _last(tables: Tables) -> Select[Any]:
    history = tables.history
    return select(func.coalesce(func.max(history.c.version), literal_column("0"))).where(
        history.c.type == cast(bindparam("type"), Text), history.c.id == cast(bindparam("id"), Text)
    )
