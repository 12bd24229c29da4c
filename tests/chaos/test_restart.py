"""PostgreSQL goes away and comes back: restarted by its operator, and crashed."""

from __future__ import annotations

import asyncio

import httpx

from tests.chaos.accounts import settled
from tests.chaos.conftest import Enter
from tests.chaos.rig import Rig, strikes


async def test_postgresql_is_restarted_and_crashes(
    rig: Rig, http: httpx.AsyncClient, enter: Enter
) -> None:
    async with rig.load().running() as load:
        for _ in strikes(1, 4):
            for end in (rig.postgres.stop, rig.postgres.crash):
                await load.more(20)
                await asyncio.to_thread(end)
                await rig.server.becomes(http, ready=False)
                await asyncio.sleep(0.5)
                await asyncio.to_thread(rig.postgres.start)
                await rig.server.becomes(http, ready=True, within=15)
        await load.more(20)
    enter(await settled("PostgreSQL restarted, crashed", load, rig.nats.url))
