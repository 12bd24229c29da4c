"""Removes expired idempotent answers and events that were kept long enough, tenant after tenant,
once or for as long as one serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from fhir_server.background import background
from fhir_server.context import Context
from fhir_server.store import Store
from fhir_server.store.session import Session
from fhir_server.store.sweep import BATCH
from fhir_server.workers.tenants import tenants, worker

EVERY = 600.0
PAUSE = 0.05
# A tenant with more than this waits for the next round, so that each has its turn.
BATCHES = 100

Batch = Callable[[Session], Awaitable[int]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keeping:
    """For how long events stay once they are published; until then they stay anyway."""

    events: timedelta = timedelta(days=7)


async def sweep(
    store: Store, names: list[str] | None = None, keeping: Keeping | None = None
) -> int:
    """How many answers were removed; of all tenants unless `names` says which. Events go where
    `keeping` says for how long they stay."""
    listed = await tenants(store) if names is None else names
    return sum([await _sweep_tenant(store, name, keeping) for name in listed])


async def _sweep_tenant(store: Store, tenant: str, keeping: Keeping | None) -> int:
    ctx = worker(tenant)

    async def events(session: Session) -> int:
        kept = keeping or Keeping()
        return await store.outbox.sweep(session, ctx.now - kept.events)

    if keeping is not None:
        await _batches(store, ctx, events)
    return await _batches(store, ctx, lambda session: store.sweeper.sweep(session, ctx.now))


async def _batches(store: Store, ctx: Context, batch: Batch) -> int:
    removed = 0
    for _ in range(BATCHES):
        async with store.sessions.session(ctx) as session:
            last = await batch(session)
        removed += last
        if last < BATCH:
            break
        await asyncio.sleep(PAUSE)
    return removed


@asynccontextmanager
async def sweeping(
    store: Store, keeping: Keeping | None = None, every: float = EVERY
) -> AsyncIterator[None]:
    """Sweeps at intervals until the end of the block."""
    async with background(_forever(store, keeping, every)):
        yield


async def _forever(store: Store, keeping: Keeping | None, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await sweep(store, keeping=keeping)
        except Exception:  # whatever it was, the next round has its own chance
            log.exception("expired answers stay for now")
