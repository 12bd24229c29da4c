"""From JetStream into the store: nothing lost, one effect each, poison set aside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import nats
import psycopg
import pytest
from nats.errors import Error as NatsError
from psycopg import sql

from fhir_server.app import Core, build_core
from fhir_server.settings import Settings
from fhir_server.workers.broker import Broker
from fhir_server.workers.consumer import Consumer
from fhir_server.workers.incoming import Incoming, Outcome
from tests.conftest import NewDatabase, database_of
from tests.support.nats import NatsServer, stored
from tests.support.until import until
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


async def test_a_bug_is_counted_and_ends_with_the_dead_letters(
    core: Core,
    broker: Broker,
    server: NatsServer,
    database_url: str,
    tenant: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A trigger stands for it: an exception that is no refusal."""
    bad, *good = bodies(tenant, 3)
    raises = """
        CREATE FUNCTION bug() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF NEW.id = 'p000' THEN RAISE EXCEPTION 'hivpositive %', NEW.body; END IF; RETURN NEW;
        END $$;
        CREATE TRIGGER bug BEFORE INSERT ON patient FOR EACH ROW EXECUTE FUNCTION bug();
    """
    caplog.set_level(logging.DEBUG)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(raises)
        async with consumer(core, broker).running(), asyncio.timeout(60):
            await send(server, bad, *good)
            await until(lambda: is_dead(server, bad))
            dead = {message.data: message for message in await stored(server.url, DEAD)}
        connection.execute("DROP TRIGGER bug ON patient; DROP FUNCTION bug()")
    assert [id for id, _ in patients(database_url, tenant)] == ["p001", "p002"]
    assert (dead[bad].headers or {})["Failure"] == "failed with RaiseException"
    assert "hivpositive" not in caplog.text


async def test_an_outage_of_the_database_counts_for_nothing(
    settings_of_tests: Settings, broker: Broker, server: NatsServer, new_database: NewDatabase
) -> None:
    """Messages are held, not delivered again and again, and then have their effect."""
    url, tenant = new_database(), f"t-{uuid4().hex[:12]}"
    impatient = {"database_url": url, "pool_timeout": 0.1}
    core = build_core(settings_of_tests.model_copy(update=impatient))
    counted = Counted(core.interactions, core.mappings.consumed)
    events, consumed = core.mappings.service.events, core.mappings.consumed
    reader = Consumer(broker, counted, events, consumed, rest=0.01)
    async with AsyncExitStack() as stack:
        await core.store.sessions.open()
        stack.push_async_callback(core.store.sessions.close)
        await stack.enter_async_context(reader.running())
        await stack.enter_async_context(asyncio.timeout(60))
        await send(server, *bodies(tenant, 1))
        await reached(url, tenant, 1)
        before = await delivered(server)
        with closed(url):
            await send(server, *bodies(tenant, 12)[1:])
            Counted.tries = 0
            await until(tried_again)
        await reached(url, tenant, 12)
        assert patients(url, tenant) == once_each(12)
        assert await delivered(server) == before + 11


class Counted(Incoming):
    """Counts how often something was to be taken in."""

    tries = 0

    async def take(self, body: bytes) -> Outcome:
        Counted.tries += 1
        return await super().take(body)


async def is_dead(server: NatsServer, body: bytes) -> bool:
    return body in {message.data for message in await stored(server.url, DEAD)}


async def tried_again() -> bool:
    return Counted.tries > 3


async def delivered(server: NatsServer) -> int:
    """How many deliveries there were, repeated ones included."""
    client = await nats.connect(server.url)
    try:
        jetstream = client.jetstream()
        stream = await jetstream.find_stream_name_by_subject(PATIENTS)
        (found,) = await jetstream.consumers_info(stream)
        return found.delivered.consumer_seq if found.delivered else 0
    finally:
        await client.close()


@contextmanager
def closed(url: str) -> Iterator[None]:
    """The database lets nobody in, and throws out whoever is."""
    name = urlsplit(url).path.removeprefix("/")
    with psycopg.connect(database_of(url, "postgres"), autocommit=True) as connection:
        allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        out = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(out, [name])
        try:
            yield
        finally:
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


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
