"""Work that one server at a time does: whoever has the name does it, until he is done or dead.

The lock belongs to a transaction that holds nothing else, so it ends with its connection, and no
connection takes it back to the pool.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fhir_server.context import Context
from fhir_server.store.session import Sessions

_TRY: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended(%(name)s::text, 0))"


@asynccontextmanager
async def alone(sessions: Sessions, ctx: Context, name: str) -> AsyncIterator[bool]:
    """Whether the caller has the name, for the time of the block; false where another has it."""
    async with sessions.session(ctx) as session, session.transaction():
        rows = await session.fetch(_TRY, {"name": f"{ctx.tenant} {name}"})
        yield bool(rows[0][0])
