"""The network between server and database: cut, deaf, silent; and a database that hangs."""

from __future__ import annotations

import asyncio

import httpx

from tests.chaos.accounts import settled
from tests.chaos.conftest import Enter
from tests.chaos.rig import Rig, strikes
from tests.chaos.server import DEADLINE

TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def test_connections_are_ended_and_cut(rig: Rig, enter: Enter) -> None:
    async with rig.load().running() as load:
        for _ in strikes(2, 40):
            await load.more(10)
            await asyncio.to_thread(rig.postgres.execute, TERMINATE)
            await load.more(10)
            rig.proxy.cut()
        await load.more(20)
    enter(await settled("connections ended, cut", load, rig.nats.url))


async def test_answers_are_lost_with_their_connections(rig: Rig, enter: Enter) -> None:
    """What the server asks for is done, COMMIT included, and it never hears so."""
    async with rig.load().running() as load:
        for _ in strikes(2, 20):
            await load.more(10)
            rig.proxy.be("deaf")
            await asyncio.sleep(0.3)
            rig.proxy.be("open")
            rig.proxy.cut()
        await load.more(20)
    assert load.ledger.answers["503"] > 0
    enter(await settled("answers of commits lost", load, rig.nats.url))


async def test_connections_fall_silent(rig: Rig, http: httpx.AsyncClient, enter: Enter) -> None:
    """Nothing ends them: they are as after a power cut behind a switch, and stay so."""
    async with rig.load().running() as load:
        for _ in strikes(1, 4):
            await load.more(10)
            rig.proxy.be("silent")
            await rig.server.becomes(http, ready=False)
            await asyncio.sleep(DEADLINE)
            rig.proxy.be("open")
            await rig.server.becomes(http, ready=True, within=20)
        await load.more(20)
    enter(await settled("connections silent", load, rig.nats.url))


async def test_the_database_hangs(rig: Rig, http: httpx.AsyncClient, enter: Enter) -> None:
    async with rig.load().running() as load:
        for _ in strikes(1, 4):
            await load.more(10)
            rig.postgres.freeze(frozen=True)
            try:
                await rig.server.becomes(http, ready=False)
                await asyncio.sleep(DEADLINE)
            finally:
                rig.postgres.freeze(frozen=False)
            await rig.server.becomes(http, ready=True, within=20)
        await load.more(20)
    enter(await settled("database hangs", load, rig.nats.url))
