"""kill -9 of the program, which is server and worker, at random moments."""

from __future__ import annotations

import asyncio
import random

import httpx

from tests.chaos.accounts import settled
from tests.chaos.conftest import Enter
from tests.chaos.rig import LONG, Rig, strikes
from tests.chaos.server import Server, launched


async def test_servers_are_killed(rig: Rig, http: httpx.AsyncClient, enter: Enter) -> None:
    """Two on one database: what one was at, the other one or its successor brings to its end."""
    other = Server(rig.folder, "other", **rig.settings())
    servers, chance = [rig.server, other], random.Random(8191)
    with launched(other):
        await other.listens()
        load = rig.load(*servers)
        if not LONG:
            # NATS gives what a dead server was at to another one after a minute.
            load.bus = None
        async with load.running():
            for _ in strikes(0, 5):
                victim = chance.choice(servers)
                await load.more(chance.randrange(5, 25))
                await asyncio.sleep(chance.random() * 0.2)
                victim.kill()
                await load.more(10)
                victim.launch()
                await victim.listens()
                await victim.becomes(http, ready=True)
            await load.more(20)
            rig.server.kill()
            await load.more(20)
        enter(await settled("server and worker killed", load, rig.nats.url))
        assert other.stop() == 0
