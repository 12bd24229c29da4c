"""Making the search columns of stored resources anew, a batch at a time, while others write.

Each row carries the fingerprint of the declarations it was indexed by, so what is left to do is
always known: nothing is lost when this stops, and a row that a server with older declarations
wrote meanwhile is found again. A batch never waits for a row and never holds one for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Table, Text, bindparam, cast, func, select

from fhir_server.context import Context
from fhir_server.fhir.json import parse
from fhir_server.store.index import Indexer
from fhir_server.store.session import Row, Session
from fhir_server.store.sql import sql_text
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables
from fhir_server.store.write import Writer

BATCH = 200
# A table of any size may be counted.
PATIENT = "SET LOCAL statement_timeout = 0"


class Batch(NamedTuple):
    """`last` is the id after which the next one begins, None after the last of them."""

    seen: int
    written: int
    last: str | None


class Reindexer:
    """Finds and renews the rows that other declarations made; the session's tenant only."""

    def __init__(self, tables: Tables, indexer: Indexer, writer: Writer) -> None:
        self._tables = tables
        self._indexer = indexer
        self._writer = writer
        self._count = lru_cache(maxsize=256)(self._compile_count)
        self._next = lru_cache(maxsize=256)(self._compile_next)

    async def stale(self, session: Session, resource_type: str) -> int:
        """How many rows are to be made anew."""
        args = {"fingerprint": self._indexer.fingerprint(resource_type)}
        async with session.transaction():
            await session.execute(PATIENT)
            rows = await session.fetch(self._count(resource_type), args)
        return int(rows[0][0])

    async def batch(
        self, session: Session, ctx: Context, resource_type: str, after: str, limit: int = BATCH
    ) -> Batch:
        """Renews the next rows behind the id `after`; those being written are left for later."""
        found = await self._following(session, resource_type, after, limit)
        statements = [
            self._writer.reindex(
                ctx.tenant, row, self._indexer.row(ctx.tenant, resource_type, parse(row.body))
            )
            for row in found
        ]
        written: Sequence[int] = ()
        if statements:
            async with session.transaction():
                written = await session.execute_all(statements)
        return Batch(len(found), sum(written), found[-1].id if len(found) == limit else None)

    async def _following(
        self, session: Session, resource_type: str, after: str, limit: int
    ) -> list[Stored]:
        fingerprint = self._indexer.fingerprint(resource_type)
        args = {"fingerprint": fingerprint, "after": after, "limit": limit}
        async with session.transaction():
            await session.execute(PATIENT)
            rows: list[Row] = await session.fetch(self._next(resource_type), args)
        return [Stored(resource_type, *row) for row in rows]

    def _compile_count(self, resource_type: str) -> str:
        table = self._tables.resources[resource_type].current
        return sql_text(select(func.count()).select_from(table).where(_stale(table)))

    def _compile_next(self, resource_type: str) -> str:
        table = self._tables.resources[resource_type].current
        return sql_text(
            select(table.c.id, table.c.version, table.c.updated, table.c.body)
            .where(_stale(table), table.c.id > cast(bindparam("after"), Text))
            .order_by(table.c.id)
            .limit(bindparam("limit"))
        )


def _stale(table: Table) -> ColumnElement[bool]:
    return table.c.indexed.is_distinct_from(cast(bindparam("fingerprint"), BigInteger))
