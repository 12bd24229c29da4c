"""Makes the search columns of everything stored follow the declarations, beside a serving server.

Rows that are being written when their turn comes are left, and looked for again when the others
are done; a server with older declarations may go on making more of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from fhir_server.store import Store
from fhir_server.workers.tenants import worker

PASSES = 5
PAUSE = 0.2


class Progress(NamedTuple):
    """How far one type of one tenant is: `done` rows of `total`."""

    tenant: str
    type: str
    done: int
    total: int


async def reindex(
    store: Store, tenants: Sequence[str], types: Sequence[str]
) -> AsyncIterator[Progress]:
    """Once before each type of each tenant in which there is something to do, then after each
    batch; where `done` stays below `total` at the end, others kept writing with older
    declarations."""
    for tenant in tenants:
        for resource_type in types:
            async for progress in _reindex(store, tenant, resource_type):
                yield progress


async def _reindex(store: Store, tenant: str, resource_type: str) -> AsyncIterator[Progress]:
    done = 0
    for n in range(PASSES):
        left = await _left(store, tenant, resource_type)
        if not left:
            break
        await asyncio.sleep(PAUSE if n else 0)
        yield Progress(tenant, resource_type, done, done + left)
        async for written in _pass(store, tenant, resource_type):
            done += written
            left = max(left - written, 0)
            yield Progress(tenant, resource_type, done, done + left)
    else:
        left = await _left(store, tenant, resource_type)
    if done:
        yield Progress(tenant, resource_type, done, done + left)


async def _left(store: Store, tenant: str, resource_type: str) -> int:
    async with store.sessions.session(worker(tenant)) as session:
        return await store.reindexer.stale(session, resource_type)


async def _pass(store: Store, tenant: str, resource_type: str) -> AsyncIterator[int]:
    """Through all ids once; the rows renewed, batch by batch."""
    ctx = worker(tenant)
    after: str | None = ""
    while after is not None:
        async with store.sessions.session(ctx) as session:
            batch = await store.reindexer.batch(session, ctx, resource_type, after)
        yield batch.written
        after = batch.last
