"""NATS goes away, hangs, and comes back: nobody who writes notices."""

from __future__ import annotations

import asyncio

import httpx

from tests.chaos.accounts import settled
from tests.chaos.conftest import Enter
from tests.chaos.rig import LONG, Rig, strikes


async def test_nats_is_away_and_hangs(rig: Rig, http: httpx.AsyncClient, enter: Enter) -> None:
    async with rig.load().running() as load:
        for _ in strikes(1, 4):
            await load.more(10)
            rig.nats.stop()
            await load.more(30)
            assert await rig.server.ready(http)
            await asyncio.to_thread(rig.nats.start)
            await load.more(10)
            rig.nats.freeze(frozen=True)
            try:
                await load.more(30)
                await asyncio.sleep(8 if LONG else 0.5)
                assert await rig.server.ready(http)
            finally:
                rig.nats.freeze(frozen=False)
            await load.more(10)
    assert load.ledger.answers["503"] + load.ledger.answers["none"] == 0
    enter(await settled("NATS away, hanging", load, rig.nats.url))
