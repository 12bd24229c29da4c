"""`session(ctx)`: the only door to the database, always set to the caller's tenant."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.errors import (
    DiskFull,
    IdleInTransactionSessionTimeout,
    InsufficientPrivilege,
    ReadOnlySqlTransaction,
)
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from fhir_server.context import Context
from fhir_server.problems import Problem
from fhir_server.store.pool import SETTING, TenantConnection, TenantPool, wanted

Args = Mapping[str, Any]
Row = tuple[Any, ...]

# What is nobody's fault and passes: PostgreSQL away, stopping or starting, out of disk, connections
# or time, and since a failover read-only. https://www.postgresql.org/docs/current/errcodes-appendix.html
PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    ReadOnlySqlTransaction,
    IdleInTransactionSessionTimeout,
)
RETRY_SECONDS = 1
# Seconds that the answer to `ready` may take.
READINESS = 2.0
# Needs room on the disk, and none of what is stored.
PROBE = """
CREATE TEMPORARY TABLE room ON COMMIT DROP AS
  SELECT md5(number::text) FROM generate_series(1, 20000) AS number
"""
WRITABLE = "SELECT current_setting('transaction_read_only') = 'off'"
SET_TENANT = f"SELECT set_config('{SETTING}', $1, false)"
_NAMED = re.compile(r"%\((\w+)\)s")


class Session:
    """Statements of one caller on one connection; each commits by itself unless in
    `transaction()`."""

    __slots__ = ("_connection", "_cursor")

    def __init__(self, connection: TenantConnection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    def announce(self) -> None:
        """Events were written: once the session ends, somebody is told."""
        self._connection.announced = True

    async def fetch(self, sql: str, args: Args | None = None) -> list[Row]:
        """All rows; `json` columns as bytes."""
        await self._cursor.execute(*_positional(sql, args))
        return await self._cursor.fetchall()

    async def execute(self, sql: str, args: Args | None = None) -> int:
        """The number of rows the statement touched."""
        await self._cursor.execute(*_positional(sql, args))
        return self._cursor.rowcount

    async def execute_all(self, statements: Sequence[tuple[str, Args]]) -> list[int]:
        """Row counts of several statements, sent without waiting between them."""
        async with self._connection.pipeline():
            cursors = [await self._sent(sql, args) for sql, args in statements]
        return [cursor.rowcount for cursor in cursors]

    async def _sent(self, sql: str, args: Args) -> psycopg.AsyncCursor[Row]:
        cursor = self._connection.cursor()
        await cursor.execute(*_positional(sql, args))
        return cursor

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """All statements inside commit together, or none does; one inside another joins it."""
        if self._connection.info.transaction_status != TransactionStatus.IDLE:
            yield
            return
        async with self._connection.transaction():
            try:
                yield
            except asyncio.CancelledError:
                # Ends the transaction as well, and needs no answer.
                await self._connection.close()
                raise


def _positional(sql: str, args: Args | None) -> tuple[bytes, list[Any]]:
    text, names = _numbered(sql)
    given = args or {}
    return text, [given[name] for name in names]


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with `$1` … for its named parameters, as PostgreSQL takes it; psycopg would
    rewrite every long statement again each time."""
    parts = _NAMED.split(sql.replace("%%", "%"))
    names = tuple(dict.fromkeys(parts[1::2]))
    parts[1::2] = [f"${names.index(name) + 1}" for name in parts[1::2]]
    return "".join(parts).encode(), names


class Sessions:
    """Hands out sessions from the pool."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._full = False
        self.told: Callable[[str], None] = _nobody

    async def open(self) -> None:
        """Connects; raises psycopg_pool.PoolTimeout when the database does not answer."""
        await self._pool.open(wait=True)

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.close()

    async def ready(self) -> bool:
        """Whether the database takes writes; it says so in time, or counts as away."""
        try:
            async with asyncio.timeout(READINESS), self._pool.connection() as connection:
                return await self._takes_writes(connection)
        except (psycopg.Error, PoolTimeout, TooManyRequests, PoolClosed, TimeoutError):
            return False

    async def _takes_writes(self, connection: TenantConnection) -> bool:
        cursor = await connection.execute(WRITABLE)
        if await cursor.fetchone() != (True,):
            await self._pool.renew()
            return False
        if self._full:
            with suppress(InsufficientPrivilege):
                await connection.execute(PROBE)
            self._full = False
        return True

    @asynccontextmanager
    async def session(self, ctx: Context) -> AsyncIterator[Session]:
        """A session set to `ctx.tenant`; 503 when the database cannot be had."""
        connection = await self._checkout(ctx.tenant)
        try:
            yield Session(connection)
        except PASSING as error:
            raise await self._passing(error) from error
        finally:
            announced, connection.announced = connection.announced, False
            await self._put_back(connection)
            if announced:
                self.told(ctx.tenant)

    async def _passing(self, error: psycopg.Error) -> Problem:
        self._full = self._full or isinstance(error, DiskFull)
        if isinstance(error, ReadOnlySqlTransaction):
            await self._pool.renew()
        return _unavailable()

    async def _put_back(self, connection: TenantConnection) -> None:
        if connection.closed:
            await self._pool.renew()
        await self._pool.putconn(connection)

    async def _checkout(self, tenant: str) -> TenantConnection:
        wanted.set(tenant)
        try:
            connection = await self._pool.getconn()
        except (PoolTimeout, TooManyRequests, PoolClosed) as error:
            raise _unavailable() from error
        if connection.tenant != tenant:
            await self._set_tenant(connection, tenant)
        return connection

    async def _set_tenant(self, connection: TenantConnection, tenant: str) -> None:
        # Forgotten first: a failure midway must not leave the old tenant remembered as right.
        connection.tenant = ""
        try:
            await connection.execute(SET_TENANT, (tenant,))
        except BaseException as error:
            await self._put_back(connection)
            if isinstance(error, psycopg.Error):
                raise _unavailable() from error
            raise
        connection.tenant = tenant


class Joined(Sessions):
    """Hands out one session that is open already: reads inside a transaction see its writes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.told = _nobody

    @asynccontextmanager
    async def session(self, ctx: Context) -> AsyncIterator[Session]:
        """The same one each time; it is `ctx.tenant`'s."""
        yield self._session


def _nobody(tenant: str) -> None:
    """Nobody is told."""


def _unavailable() -> Problem:
    again = {"retry-after": str(RETRY_SECONDS)}
    why = "the database cannot be reached at the moment"
    return Problem(503, "transient", why, headers=again)
