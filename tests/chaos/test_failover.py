"""The primary dies and its synchronous replica takes over; and a database that is read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx
import pytest

from tests.chaos.accounts import settled
from tests.chaos.conftest import Enter
from tests.chaos.load import Load, Token
from tests.chaos.rig import Rig, settings, strikes
from tests.chaos.server import Server, launched
from tests.support.nats import NatsServer, nats_server
from tests.support.postgres import DATABASE, Postgres

STANDBY = "standby"
# A commit is acknowledged once the replica has it on disk.
SYNCHRONOUS = {"synchronous_standby_names": STANDBY}


@pytest.fixture
def pair(cluster: Postgres, chaos_folder: Path) -> Iterator[tuple[Postgres, Postgres]]:
    """A primary, and a replica that streams from it."""
    primary = Postgres(chaos_folder / "primary", **SYNCHRONOUS)
    standby = Postgres(chaos_folder / "standby")
    primary.copy_of(cluster)
    primary.start()
    try:
        standby.standby_of(primary, STANDBY)
        yield primary, standby
    finally:
        standby.stop()
        primary.crash()


@pytest.fixture
def nats(chaos_folder: Path) -> Iterator[NatsServer]:
    folder = chaos_folder / "nats-of-failover"
    folder.mkdir()
    with nats_server(folder) as server:
        yield server


async def test_the_primary_dies_and_the_replica_is_promoted(
    pair: tuple[Postgres, Postgres],
    nats: NatsServer,
    chaos_folder: Path,
    token: Token,
    http: httpx.AsyncClient,
    enter: Enter,
) -> None:
    primary, standby = pair
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = f"postgresql://postgres@{hosts}/{DATABASE}?target_session_attrs=read-write"
    server = Server(chaos_folder, "failover", **settings(url, nats.url))
    with launched(server):
        await server.listens()
        load = Load(lambda: [server.address], token, bus=nats.url)
        async with load.running():
            for _ in strikes(1, 10):
                await load.more(40)
            await asyncio.to_thread(primary.crash)
            await server.becomes(http, ready=False)
            standby.execute("SELECT pg_promote()", database="postgres")
            await server.becomes(http, ready=True, within=20)
            for _ in strikes(1, 10):
                await load.more(40)
        enter(await settled("failover to a replica", load, nats.url))


async def test_a_database_that_is_read_only_takes_no_writes(
    rig: Rig, http: httpx.AsyncClient, enter: Enter
) -> None:
    """As a primary that was demoted while connections to it stayed."""
    async with rig.load().running() as load:
        for _ in strikes(1, 5):
            await load.more(10)
            _set(rig.postgres, "on")
            await rig.server.becomes(http, ready=False)
            written = load.ledger.acknowledged
            await load.read("/fhir/R4/Patient/zahra")
            await asyncio.sleep(0.5)
            assert load.ledger.acknowledged <= written + 7, "it goes on writing"
            _set(rig.postgres, "off")
            await rig.server.becomes(http, ready=True)
        await load.more(20)
    assert load.ledger.answers["503"] > 0
    enter(await settled("database read-only", load, rig.nats.url))


def _set(postgres: Postgres, value: Literal["on", "off"]) -> None:
    postgres.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    postgres.execute("SELECT pg_reload_conf()")
