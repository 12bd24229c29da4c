"""Says to all processes that a tenant's events committed, so that nobody has to look for them.

NOTIFY takes a lock of the whole database at commit and holds it until the commit is on disk: within
the writing transactions it makes their commits wait in line (docs/decisions/0022). So whoever wrote
tells it afterwards, in a transaction of its own, at most every `PAUSE` for all that happened since.
If the process dies in between, nothing is lost but the hurry: publishers also look at intervals.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg

from fhir_server.background import background
from fhir_server.context import Context
from fhir_server.problems import Problem
from fhir_server.store.pool import lively
from fhir_server.store.session import Sessions

CHANNEL: Final = "fhir_server_outbox"
PAUSE: Final = 0.05
RECONNECT: Final = 1.0
# Who only listens does not notice that nobody is there any more: so he asks now and then, and
# waits this long for an answer.
HEARTBEAT: Final = 10.0
PATIENCE: Final = 5.0
_NOBODY: Final = Context("", "fhir-server", face="job")
_NOTIFY: Final = f"""
SELECT pg_notify('{CHANNEL}', tenant) FROM unnest(%(tenants)s::text[]) AS rung (tenant)
"""


class Doorbell:
    """Rings for tenants, and hears who rang."""

    def __init__(self, url: str, sessions: Sessions) -> None:
        self._url = url
        self._sessions = sessions
        self._tenants: set[str] = set()
        self._rung = asyncio.Event()
        sessions.told = self.ring

    def ring(self, tenant: str) -> None:
        """Events of that tenant committed."""
        self._tenants.add(tenant)
        self._rung.set()

    @asynccontextmanager
    async def ringing(self) -> AsyncIterator[None]:
        """Tells the others until the end of the block, and then the last time."""
        try:
            async with background(self._forever()):
                yield
        finally:
            await self._tell()

    async def heard(self) -> AsyncGenerator[str | None, None]:
        """Tenants for whom somebody rang; None when some may have been missed, first of all at
        the beginning."""
        while True:
            with suppress(psycopg.Error, TimeoutError):
                async with await psycopg.AsyncConnection.connect(
                    lively(self._url), autocommit=True
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    yield None
                    while True:
                        async for notice in connection.notifies(timeout=HEARTBEAT):
                            yield notice.payload
                        async with asyncio.timeout(PATIENCE):
                            await connection.execute("SELECT 1")
            await asyncio.sleep(RECONNECT)

    async def _forever(self) -> None:
        while True:
            await self._rung.wait()
            await self._tell()
            await asyncio.sleep(PAUSE)

    async def _tell(self) -> None:
        self._rung.clear()
        tenants, self._tenants = sorted(self._tenants), set()
        if not tenants:
            return
        # Whoever cannot be told now looks for himself in a while.
        with suppress(Problem, psycopg.Error):
            async with self._sessions.session(_NOBODY) as session:
                await session.fetch(_NOTIFY, {"tenants": tenants})
