"""From JetStream into the store: nothing lost, one effect each, poison set aside."""

from __future__ import annotations

import asyncio

import nats
import psycopg
from nats.errors import Error as NatsError

from fhir_server.app import Core
from fhir_server.workers.broker import Broker
from fhir_server.workers.consumer import Consumer
from tests.support.nats import NatsServer, stored
from tests.workers.test_incoming import registered

PATIENTS = "ghasi.registration.patient.created"
DEAD = f"ghasi.digital_communication.dead.{PATIENTS}"


def consumer(core: Core, broker: Broker) -> Consumer:
    """One whose rests are short."""
    events, consumed = core.mappings.service.events, core.mappings.consumed
    return Consumer(broker, core.incoming(), events, consumed, rest=0.01)


async def send(server: NatsServer, *bodies: bytes) -> None:
    """Publishes them as another service would, once the stream is there."""
    client = await nats.connect(server.url)
    try:
        for body in bodies:
            for _ in range(500):
                try:
                    await client.jetstream().publish(PATIENTS, body)
                    break
                except NatsError:
                    await asyncio.sleep(0.02)
    finally:
        await client.close()


def patients(url: str, tenant: str) -> list[tuple[str, int]]:
    """Ids and versions."""
    with psycopg.connect(url) as connection:
        query = "SELECT id, version FROM patient WHERE tenant = %s ORDER BY id"
        return connection.execute(query, [tenant]).fetchall()


async def reached(url: str, tenant: str, number: int) -> None:
    for _ in range(2_000):
        if len(patients(url, tenant)) >= number:
            return
        await asyncio.sleep(0.01)


def bodies(tenant: str, number: int) -> list[bytes]:
    return [registered(tenant, f"pat_p{n:03}") for n in range(number)]


def once_each(number: int) -> list[tuple[str, int]]:
    return [(f"p{n:03}", 1) for n in range(number)]


async def test_two_consumers_and_every_event_twice(
    core: Core, broker: Broker, server: NatsServer, database_url: str, tenant: str
) -> None:
    events = bodies(tenant, 40)
    async with consumer(core, broker).running(), consumer(core, broker).running():
        await send(server, *events, *events)
        await reached(database_url, tenant, 40)
    found = patients(database_url, tenant)
    print({"sent": 80, "events": 40, "effects": len(found)})  # noqa: T201 - read with pytest -s
    assert found == once_each(40)


async def test_poison_goes_to_the_dead_letters_and_the_rest_goes_on(
    core: Core, broker: Broker, server: NatsServer, database_url: str, tenant: str
) -> None:
    refused = registered(tenant, gender="zzz")
    async with consumer(core, broker).running():
        await send(server, b"{", refused, *bodies(tenant, 3))
        await reached(database_url, tenant, 3)
        for _ in range(1_000):
            dead = await stored(server.url, DEAD)
            if len(dead) == 2:
                break
            await asyncio.sleep(0.02)
    assert patients(database_url, tenant) == once_each(3)
    whys = {message.data: (message.headers or {})["Failure"] for message in dead}
    assert whys == {b"{": "not JSON", refused: "refused with 422"}


async def test_stopped_and_started_it_goes_on_where_it_was(
    core: Core, broker: Broker, server: NatsServer, database_url: str, tenant: str
) -> None:
    first, others = bodies(tenant, 1), bodies(tenant, 20)[1:]
    async with consumer(core, broker).running():
        await send(server, *first)
        await reached(database_url, tenant, 1)
    await send(server, *others)
    assert patients(database_url, tenant) == once_each(1)
    async with consumer(core, broker).running():
        await reached(database_url, tenant, 20)
    assert patients(database_url, tenant) == once_each(20)


async def test_nats_goes_and_comes_back(
    core: Core, broker: Broker, server: NatsServer, database_url: str, tenant: str
) -> None:
    async with consumer(core, broker).running():
        await send(server, *bodies(tenant, 1))
        await reached(database_url, tenant, 1)
        server.stop()
        await asyncio.to_thread(server.start)
        await send(server, *bodies(tenant, 5))
        await reached(database_url, tenant, 5)
    # The first one's event is a new one each time, and says the same again.
    assert [id for id, _ in patients(database_url, tenant)] == [f"p{n:03}" for n in range(5)]
