"""The connection pool, each connection remembering the tenant it is set to.

Row-level security reads the tenant from a session setting. Setting it on every checkout costs a
round trip, so a connection keeps its tenant and the pool hands a caller one that is already his
where it can. A checkout always compares.
"""

from __future__ import annotations

from contextvars import ContextVar

from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from fhir_server.store.adapt import adapt

APP_ROLE = "fhir_server_app"
SETTING = "fhir_server.tenant"

wanted: ContextVar[str] = ContextVar("wanted", default="")


class TenantConnection(AsyncConnection[TupleRow]):
    """A connection, the tenant its session is set to, and whether events were written by it."""

    tenant: str = ""
    announced: bool = False


async def configure(connection: TenantConnection) -> None:
    """A fresh connection: autocommit, the role that row-level security binds, our adapters."""
    await connection.set_autocommit(True)
    await connection.execute(f"SET ROLE {APP_ROLE}")
    adapt(connection)


class TenantPool(AsyncConnectionPool[TenantConnection]):
    """psycopg's pool, preferring a ready connection that is set to the wanted tenant."""

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


def build_pool(url: str, *, size: int, timeout: float) -> TenantPool:
    """A pool on `url` of at most `size` connections; waits `timeout` seconds for one."""
    return TenantPool(
        url,
        connection_class=TenantConnection,
        configure=configure,
        min_size=min(2, size),
        max_size=size,
        timeout=timeout,
        open=False,
        name="store",
        kwargs={
            "cursor_factory": AsyncRawCursor,
            "options": "-c statement_timeout=30s -c jit=off -c timezone=UTC",
        },
    )
