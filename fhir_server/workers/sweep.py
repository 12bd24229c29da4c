"""Removes expired idempotent answers, tenant after tenant, once or for as long as one serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fhir_server.store import Store
from fhir_server.store.sweep import BATCH
from fhir_server.workers.tenants import tenants, worker

EVERY = 600.0
PAUSE = 0.05
# A tenant with more than this waits for the next round, so that each has its turn.
BATCHES = 100

log = logging.getLogger(__name__)


async def sweep(store: Store, names: list[str] | None = None) -> int:
    """How many were removed; of all tenants unless `names` says which."""
    listed = await tenants(store) if names is None else names
    return sum([await _sweep_tenant(store, name) for name in listed])


async def _sweep_tenant(store: Store, tenant: str) -> int:
    ctx, removed = worker(tenant), 0
    for _ in range(BATCHES):
        async with store.sessions.session(ctx) as session:
            last = await store.sweeper.sweep(session, ctx.now)
        removed += last
        if last < BATCH:
            break
        await asyncio.sleep(PAUSE)
    return removed


@asynccontextmanager
async def sweeping(store: Store, every: float = EVERY) -> AsyncIterator[None]:
    """Sweeps at intervals until the end of the block."""
    task = asyncio.create_task(_forever(store, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _forever(store: Store, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await sweep(store)
        except Exception:  # whatever it was, the next round has its own chance
            log.exception("expired answers stay for now")
