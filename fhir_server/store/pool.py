"""The connection pool, each connection remembering the tenant it is set to.

Row-level security reads the tenant from a session setting. Setting it on every checkout costs a
round trip, so a connection keeps its tenant and the pool hands a caller one that is already his
where it can. A checkout always compares.

Connections break, and a pool that learns it from a statement fails that statement's caller. So it
looks at a connection's socket before it hands it out: where nothing was asked, something to read is
the server's farewell. What no socket tells (a peer that is silent, a primary that has become a
standby) is found out by a caller, and then all connections are made anew: they lead the same way.
"""

from __future__ import annotations

import asyncio
import select
from contextvars import ContextVar
from math import ceil
from time import monotonic
from typing import Any, Final, TypeVar

from psycopg import AsyncConnection, AsyncRawCursor, OperationalError
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import PipelineAborted
from psycopg.rows import TupleRow
from psycopg.waiting import wait_async
from psycopg_pool import AsyncConnectionPool

from fhir_server.store.adapt import adapt

APP_ROLE = "fhir_server_app"
SETTING = "fhir_server.tenant"
# Seconds for which a statement may run, where nobody says otherwise, and how much longer an answer
# is waited for.
PATIENCE: Final = 45.0
GRACE: Final = 2.0
# Milliseconds until PostgreSQL notices that nobody waits for a statement any more.
ORPHANED: Final = 500
# Seconds between tries to connect; at least between two times that all connections are made anew.
RECONNECT: Final = 0.5
RENEWAL: Final = 1.0
# Where the URL does not say otherwise, a host that is gone is noticed within seconds, not within
# the hours of TCP's own defaults. https://www.postgresql.org/docs/current/libpq-connect.html
LIVELY: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

T = TypeVar("T")

wanted: ContextVar[str] = ContextVar("wanted", default="")


class TenantConnection(AsyncConnection[TupleRow]):
    """A connection, the tenant its session is set to, and whether events were written by it."""

    tenant: str = ""
    announced: bool = False
    patience: float = PATIENCE
    _socket: select.poll | None = None

    @property
    def gone(self) -> bool:
        """Whether the server has ended it; asked while nothing is under way."""
        if self.closed:
            return True
        if self._socket is None:
            self._socket = select.poll()
            self._socket.register(self.fileno(), select.POLLIN)
        return bool(self._socket.poll(0))

    async def wait(
        self,
        gen: PQGen[T],
        interval: float = 1.0,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of psycopg's connection
    ) -> T:
        """As psycopg's, but no longer than `patience`; and who is cut off leaves at once, and the
        connection with him: psycopg would wait for the server to cancel the statement."""
        longest = self.patience + GRACE if timeout is None else timeout
        try:
            return await wait_async(gen, self.pgconn.socket, interval, longest)
        except asyncio.CancelledError:
            await self.close()
            raise
        except OperationalError as error:
            if error.sqlstate is None and not isinstance(error, PipelineAborted):
                await self.close()
            raise


async def configure(connection: TenantConnection) -> None:
    """A fresh connection: autocommit, the role that row-level security binds, our adapters."""
    await connection.set_autocommit(True)
    await connection.execute(f"SET ROLE {APP_ROLE}")
    adapt(connection)


class TenantPool(AsyncConnectionPool[TenantConnection]):
    """psycopg's pool, preferring a ready connection that is set to the wanted tenant."""

    _renewed = float("-inf")

    async def getconn(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of psycopg's pool
    ) -> TenantConnection:
        """One that the server has not ended."""
        while (connection := await super().getconn(timeout)).gone:
            await connection.close()
            await self.putconn(connection)
        return connection

    async def renew(self) -> None:
        """Makes all connections anew, those in use as they come back."""
        if monotonic() - self._renewed > RENEWAL:
            self._renewed = monotonic()
            await self.drain()

    async def reconnect_failed(self) -> None:
        """Tries again for those who wait; psycopg would leave them to the next caller."""
        async with self._lock:
            if self._waiting:
                self._maybe_grow_pool()

    async def _get_ready_connection(
        self,
        timeout: float | None,  # noqa: ASYNC109 - the signature of psycopg's pool
    ) -> TenantConnection | None:
        tenant = wanted.get()
        for ready in self._pool:
            if ready.tenant == tenant:
                self._pool.remove(ready)
                self._pool.appendleft(ready)
                break
        return await super()._get_ready_connection(timeout)


def lively(url: str) -> str:
    """The URL as a connection string, with what makes a lost host be noticed."""
    given: dict[str, Any] = conninfo_to_dict(url)
    return make_conninfo("", **{**LIVELY, **given})


def build_pool(url: str, *, size: int, timeout: float, patience: float = PATIENCE) -> TenantPool:
    """A pool on `url` of at most `size` connections; waits `timeout` seconds for one, and
    `patience` for each statement."""

    async def configured(connection: TenantConnection) -> None:
        connection.patience = patience
        await configure(connection)

    return TenantPool(
        lively(url),
        connection_class=TenantConnection,
        configure=configured,
        min_size=min(2, size),
        max_size=size,
        timeout=timeout,
        reconnect_timeout=RECONNECT,
        open=False,
        name="store",
        kwargs={
            "cursor_factory": AsyncRawCursor,
            "options": _options(patience),
        },
    )


def _options(patience: float) -> str:
    """Nor does PostgreSQL wait for us: what a client that left has locked comes free."""
    limit = ceil(patience * 1000)
    options = {
        "statement_timeout": limit,
        "idle_in_transaction_session_timeout": limit,
        "client_connection_check_interval": ORPHANED,
        "tcp_keepalives_idle": LIVELY["keepalives_idle"],
        "tcp_keepalives_interval": LIVELY["keepalives_interval"],
        "tcp_keepalives_count": LIVELY["keepalives_count"],
        "jit": "off",
        "timezone": "UTC",
    }
    return " ".join(f"-c {name}={value}" for name, value in options.items())
