"""Events of our own that a mapping file consumes: one effect each, with NATS or without it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fhir_server.app import Core, build_core, moving_events
from fhir_server.cli import main
from fhir_server.fhir.ids import new_id
from fhir_server.fhir.json import parse
from fhir_server.settings import Settings
from fhir_server.workers import publisher as publishing
from fhir_server.workers.broker import Broker, BrokerDownError
from fhir_server.workers.tenants import worker
from tests.support.clinic import thread
from tests.support.declared import declared_with
from tests.support.nats import NatsServer
from tests.support.until import until

SENT = "communication.message.sent"
# Whoever has to answer a message gets a task.
FOLLOW_UP = """
resource: Task
fields:
  taskId:    { path: id, prefix: tsk_ }
  messageId: { path: focus.reference, to: Communication, prefix: msg_ }
consumes:
  communication.message.sent:
    does: create
    takes: { messageId: required }
    set: { status: requested, intent: order }
    once: { focus: $body.messageId }
"""
AMINA = "Practitioner/amina"


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="declared-") as name:
        yield declared_with(Path(name) / "declared", follow_up=FOLLOW_UP)


@pytest.fixture
async def core(settings_of_tests: Settings, root: Path) -> AsyncIterator[Core]:
    """One that consumes what it publishes."""
    core = build_core(settings_of_tests, root)
    await core.store.sessions.open()
    yield core
    await core.store.sessions.close()


def sent(url: str, tenant: str, number: int, aggregates: int = 0) -> list[str]:
    """The ids of messages that were sent, as far as the outbox knows."""
    ids = [new_id() for _ in range(number)]
    told = [{"messageId": f"msg_{id}", "threadId": "thr_1", "senderId": "usr_amina"} for id in ids]
    rows = [
        (tenant, new_id(), SENT, f"Communication/{n % (aggregates or number)}", json.dumps(data))
        for n, data in enumerate(told)
    ]
    insert = (
        "INSERT INTO outbox (tenant, id, type, subject, time, data)"
        " VALUES (%s, %s, %s, %s, now(), %s)"
    )
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(insert, rows)
    return ids


async def followed(core: Core, tenant: str) -> list[str]:
    """The ids of messages for which there is a task, as often as there is one."""
    asked = [("_count", "1000")]
    page = await core.interactions.search(worker(tenant), "Task", asked)
    references = (parse(match.body)["focus"]["reference"] for match in page.matches)
    return [reference.removeprefix("Communication/") for reference in references]


async def is_followed(core: Core, tenant: str) -> bool:
    return bool(await followed(core, tenant))


def states(url: str, tenant: str) -> Counter[tuple[bool, bool, int]]:
    """How many events were published, are dead, and were tried how often."""
    query = "SELECT published IS NOT NULL, dead IS NOT NULL, tries FROM outbox WHERE tenant = %s"
    with psycopg.connect(url) as connection:
        return Counter(connection.execute(query, [tenant]).fetchall())


async def all_marked(url: str, tenant: str) -> None:
    """Returns once no event waits, or after a long while."""
    for _ in range(2_000):
        if all(published or dead for published, dead, _ in states(url, tenant)):
            return
        await asyncio.sleep(0.01)


async def send(core: Core, tenant: str) -> str:
    """A message in a thread of its own, sent as a client would; its id."""
    system = worker(tenant)
    for id in ("amina", "farid"):
        person = {"resourceType": "Practitioner", "id": id}
        await core.interactions.update(system, "Practitioner", id, person)
    members = thread(AMINA, "Practitioner/farid", patient=None, sender={"reference": AMINA})
    header = (await core.interactions.create(system, "Communication", members)).stored
    assert header is not None
    message: dict[str, Any] = {
        "resourceType": "Communication",
        "status": "in-progress",
        "partOf": [{"reference": header.reference}],
        "sender": {"reference": AMINA},
        "payload": [{"contentString": "Please answer"}],
    }
    stored = (await core.interactions.create(system, "Communication", message)).stored
    assert stored is not None
    return stored.id


@pytest.mark.parametrize("nats", [False, True], ids=["without NATS", "with NATS"])
async def test_one_declaration_works_in_both_settings(
    core: Core,
    settings_of_tests: Settings,
    server: NatsServer,
    database_url: str,
    tenant: str,
    nats: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    url = server.url if nats else None
    broker = core.broker(settings_of_tests.model_copy(update={"nats_url": url}))
    async with (
        core.store.doorbell.ringing(),
        moving_events(core, broker),
        asyncio.timeout(60),
    ):
        id = await send(core, tenant)
        await until(lambda: is_followed(core, tenant))
        await all_marked(database_url, tenant)
    assert await followed(core, tenant) == [id]
    # The thread and the message.
    assert states(database_url, tenant) == {(True, False, 0): 2}


async def test_two_servers_share_the_work(
    core: Core,
    database_url: str,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fhir_server.store.outbox.SHARE", 5)
    ids = sent(database_url, tenant, 60, aggregates=20)
    rounds = [core.publisher(core.delivery()).round([tenant]) for _ in range(2)]
    shares = await asyncio.gather(*rounds)
    print({"events": len(ids), "shares": shares})  # noqa: T201 - read with pytest -s
    assert min(shares) > 0, "one had all"
    assert Counter(await followed(core, tenant)) == Counter(ids)
    assert states(database_url, tenant) == {(True, False, 0): len(ids)}


async def test_killed_between_effect_and_mark(
    core: Core, database_url: str, tenant: str, root: Path
) -> None:
    ids = sent(database_url, tenant, 12)
    command = [sys.executable, "-m", "tests.support.dying_delivery", database_url]
    killed = await asyncio.to_thread(
        subprocess.run, [*command, str(root), tenant, "5"], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    before = await followed(core, tenant)
    assert len(before) >= 5
    assert states(database_url, tenant) == {(False, False, 0): len(ids)}
    # The lock goes when PostgreSQL has noticed that its client is gone.
    async with asyncio.timeout(60):
        while states(database_url, tenant) != {(True, False, 0): len(ids)}:
            await core.publisher(core.delivery()).round([tenant])
    assert Counter(await followed(core, tenant)) == Counter(ids)


async def test_what_is_refused_or_fails_again_and_again_dies_and_the_rest_goes_on(
    core: Core,
    database_url: str,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A trigger stands for a bug of ours: an exception that is no refusal."""
    caplog.set_level(logging.DEBUG)
    bug, good = sent(database_url, tenant, 2, aggregates=1)
    raises = f"""
        CREATE FUNCTION bug() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF NEW.body::text LIKE '%{bug}%' THEN RAISE EXCEPTION 'hivpositive'; END IF; RETURN NEW;
        END $$;
        CREATE TRIGGER bug BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION bug();
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(raises.encode())
        publisher = core.publisher(core.delivery())
        for tries in range(publishing.TRIES):
            assert await followed(core, tenant) == []
            assert states(database_url, tenant)[False, False, tries] >= 1
            await publisher.round([tenant])
            connection.execute("UPDATE outbox SET retry = now() WHERE tenant = %s", [tenant])
        connection.execute("DROP TRIGGER bug ON task; DROP FUNCTION bug()")
    assert await followed(core, tenant) == [good]
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", database_url)
    assert await asyncio.to_thread(main, ["events", "dead", "--tenant", tenant]) == 0
    letter = json.loads(capsys.readouterr().out)
    assert letter["data"]["messageId"] == f"msg_{bug}"
    assert (letter["failure"], letter["tries"]) == ("failed with RaiseException", publishing.TRIES)
    assert "hivpositive" not in caplog.text


async def test_while_the_database_cannot_be_had_nothing_is_counted(
    settings_of_tests: Settings, root: Path, database_url: str, tenant: str
) -> None:
    """Others have all its connections but the one with which events were claimed."""
    few = settings_of_tests.model_copy(update={"pool_size": 2, "pool_timeout": 0.2})
    core = build_core(few, root)
    ids = sent(database_url, tenant, 3)
    await core.store.sessions.open()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(core.store.sessions.close)
        async with core.store.sessions.session(worker(tenant)):
            for _ in range(publishing.TRIES + 1):
                with pytest.raises(BrokerDownError):
                    await core.publisher(core.delivery()).round([tenant])
        assert states(database_url, tenant) == {(False, False, 0): 3}
        await core.publisher(core.delivery()).round([tenant])
        assert Counter(await followed(core, tenant)) == Counter(ids)


async def test_what_nobody_consumes_is_published_as_well(
    core: Core, broker: Broker, database_url: str, tenant: str
) -> None:
    """So it is swept in its time; a NATS that is configured later gets what comes after."""
    await send(core, tenant)
    assert await core.publisher(core.delivery()).round([tenant]) == 2
    assert await core.publisher(broker).round([tenant]) == 0
    assert states(database_url, tenant) == {(True, False, 0): 2}
