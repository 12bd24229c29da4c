"""Erasures that are cut off, hindered, or overtaken come to the same end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tracemalloc
from typing import Any

import pytest

from fhir_server.app import Core
from fhir_server.settings import Settings
from fhir_server.workers import erasure
from fhir_server.workers.incoming import UnusableError
from fhir_server.workers.tenants import worker
from tests.support.clinic import directory, message, thread
from tests.support.effort import effort
from tests.workers.erasing import (
    WORD,
    asked,
    conversation,
    counted,
    failing,
    made,
    put,
    recorded,
    request,
    rows,
    versions,
    words_in,
)
from tests.workers.test_incoming import told

TABLES = ("communication", "history", "idempotency", "outbox", "provenance", "patient")


@pytest.fixture
async def house(core: Core, tenant: str) -> Core:
    for resource in directory():
        await put(core, tenant, resource)
    await put(core, tenant, {"resourceType": "Patient", "id": "zahra", "name": [{"text": WORD}]})
    return core


async def test_us_020_an_event_of_the_identity_service(
    house: Core, tenant: str, database_url: str
) -> None:
    """Given identity.user.gdpr_erasure_requested, when consumed, then message bodies redacted."""
    await conversation(house, tenant)
    event = told(tenant, "identity.user.gdpr_erasure_requested", {"userId": "pat_zahra"})
    for effect in ("written", "repeated"):
        outcome = await house.incoming().take(event)
        assert outcome.effect == effect
    await house.gdpr().round([tenant])
    id = outcome.reference.partition("/")[2]
    done = await request(house, tenant, id)
    assert done["status"] == "completed"
    assert counted(done) == {"Communication": 4, "Patient": 1}
    assert words_in(database_url, tenant) == {}
    later = told(tenant, "identity.user.gdpr_erasure_requested", {"patientId": "pat_zahra"})
    assert (await house.incoming().take(later)).reference != outcome.reference


async def test_all_that_it_changes_is_in_the_audit_trail(
    house: Core, tenant: str, database_url: str
) -> None:
    await conversation(house, tenant)
    await asked(house, tenant)
    await house.gdpr().round([tenant])
    assert words_in(database_url, tenant) == {}
    assert versions(database_url, tenant) == recorded(database_url, tenant)


@pytest.mark.parametrize("data", [{}, {"userId": "usr_amina", "patientId": "pat_zahra"}])
async def test_an_event_that_names_no_one_person_is_refused(
    house: Core, tenant: str, data: dict[str, str]
) -> None:
    with pytest.raises(Exception, match="exactly one") as refused:
        await house.incoming().take(told(tenant, "identity.user.gdpr_erasure_requested", data))
    assert not isinstance(refused.value, UnusableError)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("after", [0, 1, 4])
async def test_what_fails_midway_is_whole_or_untouched_and_goes_on(
    house: Core,
    tenant: str,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    after: int,
) -> None:
    """At whichever row of whichever table: no version is half redacted, and the next round ends
    what was begun."""
    monkeypatch.setattr(erasure, "BATCH", 2)
    await conversation(house, tenant)
    id = await asked(house, tenant)
    with failing(database_url, table, after):
        await house.gdpr().round([tenant])
        found = rows(database_url, tenant)
        for name in ("communication", "history"):
            for row in found[name]:
                assert (WORD in row) != ("REDACTED" in row) or "Communication" not in row, row
        _check_together(found)
    await house.gdpr().round([tenant])
    assert (await request(house, tenant, id))["status"] == "completed"
    assert words_in(database_url, tenant) == {}


def _check_together(found: dict[str, list[str]]) -> None:
    """A resource's current version and all its earlier ones are redacted, or none is."""
    states: dict[str, set[bool]] = {}
    for name in ("communication", "history"):
        for row in found[name]:
            body = re.search(r'""resourceType"":""Communication"",""id"":""([^"]+)""', row)
            if body:
                states.setdefault(body[1], set()).add(WORD in row)
    assert states
    assert all(len(state) == 1 for state in states.values()), states


async def test_several_servers_at_once(house: Core, tenant: str, database_url: str) -> None:
    """One of them does it; nobody does it twice."""
    await conversation(house, tenant)
    id = await asked(house, tenant)
    await asyncio.gather(*(house.gdpr().round([tenant]) for _ in range(4)))
    await house.gdpr().round([tenant])
    assert (await request(house, tenant, id))["status"] == "completed"
    told = [row for row in rows(database_url, tenant)["outbox"] if "gdpr.completed" in row]
    assert len(told) == 1


async def test_what_is_written_meanwhile_is_erased_too(
    house: Core, tenant: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that come while it works are found by its next look."""
    monkeypatch.setattr(erasure, "BATCH", 2)
    header = await conversation(house, tenant, 10)
    await asked(house, tenant)
    sent = asyncio.Event()

    async def talk() -> None:
        for n in range(20):
            await made(house, tenant, message(header, f"{WORD} later {n}"))
            sent.set()

    talking = asyncio.create_task(talk())
    await sent.wait()
    await house.gdpr().round([tenant])
    await talking
    left = words_in(database_url, tenant).get("communication", 0)
    assert left < 20
    # What came after its end is another request's.
    await asked(house, tenant)
    await house.gdpr().round([tenant])
    assert words_in(database_url, tenant) == {}


async def test_a_hold_that_is_set_meanwhile_is_met(
    house: Core, tenant: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the moment that it is there, nothing more is touched."""
    monkeypatch.setattr(erasure, "BATCH", 1)
    await conversation(house, tenant, 4)
    id = await asked(house, tenant)
    write, written = type(house.interactions.pipeline).write, 0
    label = [house.policy.hold[0].coding]

    async def hold_then_write(self: Any, ctx: Any, plan: Any, *more: Any, **named: Any) -> Any:
        nonlocal written
        written += type(plan).__name__ == "Erase"
        if written == 2 and type(plan).__name__ == "Erase":
            held = {"resourceType": "Patient", "id": "zahra", "meta": {"security": label}}
            written += 1
            await put(house, tenant, held)
        return await write(self, ctx, plan, *more, **named)

    monkeypatch.setattr(type(house.interactions.pipeline), "write", hold_then_write)
    await house.gdpr().round([tenant])
    done = await request(house, tenant, id)
    assert done["status"] == "on-hold"
    assert words_in(database_url, tenant)["communication"] == 4


async def test_a_hold_on_what_was_deleted(house: Core, tenant: str, database_url: str) -> None:
    """Its last words count."""
    header = await conversation(house, tenant, 1)
    said = await made(house, tenant, message(header, WORD + " held"))
    label = {**said["meta"], "security": [house.policy.hold[0].coding]}
    await put(house, tenant, {**said, "meta": label})
    await house.interactions.delete(worker(tenant), "Communication", said["id"])
    id = await asked(house, tenant)
    await house.gdpr().round([tenant])
    assert (await request(house, tenant, id))["status"] == "on-hold"
    assert words_in(database_url, tenant, WORD + " held") == {"history": 2}
    assert sum(words_in(database_url, tenant).values()) == 2


async def test_a_killed_server_leaves_it_to_the_next(
    house: Core,
    tenant: str,
    database_url: str,
    settings_of_tests: Settings,
) -> None:
    """kill -9 in the middle: the request stays open, and another server ends it."""
    await conversation(house, tenant, 30)
    id = await asked(house, tenant)
    program = (
        "import asyncio, sys\n"
        "from fhir_server.app import opened\n"
        "from fhir_server.settings import Settings\n"
        "from fhir_server.workers import erasure\n"
        "erasure.BATCH = 1\n"
        "async def main():\n"
        "    async with opened(Settings()) as core:\n"
        "        await core.gdpr().round([sys.argv[1]])\n"
        "asyncio.run(main())\n"
    )
    environment = {
        **os.environ,
        "FHIR_SERVER_DATABASE_URL": database_url,
        "FHIR_SERVER_DATA_DIR": str(settings_of_tests.data_dir),
    }
    command = [sys.executable, "-c", program, tenant]
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    before = words_in(database_url, tenant)["communication"]
    while words_in(database_url, tenant).get("communication", 0) > before - 4:
        assert process.returncode is None, "it came to its end too soon"
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert words_in(database_url, tenant)
    assert (await request(house, tenant, id))["status"] == "in-progress"
    _check_together(rows(database_url, tenant))
    for _ in range(100):
        # The database may need a moment to see that the other is dead.
        await house.gdpr().round([tenant])
        if (await request(house, tenant, id))["status"] == "completed":
            break
        await asyncio.sleep(0.05)
    assert words_in(database_url, tenant) == {}


async def test_a_long_thread_takes_bounded_memory(
    house: Core, tenant: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches, not threads, are in memory; nothing grows with the thread but its ids."""
    number = effort(150)
    monkeypatch.setattr(erasure, "BATCH", 10)
    header = await made(house, tenant, thread(topic={"text": WORD}))
    text = f"{WORD} " + "long " * 1600
    entries = [message(header, text) for _ in range(number)]
    gate = asyncio.Semaphore(8)

    async def send(one: dict[str, Any]) -> None:
        async with gate:
            await made(house, tenant, one)

    await asyncio.gather(*map(send, entries))
    del entries
    id = await asked(house, tenant)
    gdpr = house.gdpr()
    tracemalloc.start()
    await gdpr.round([tenant])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    done = await request(house, tenant, id)
    assert counted(done)["Communication"] == number + 1
    assert words_in(database_url, tenant) == {}
    assert most < erasure.BATCH * 40 * len(text) + 600 * number


async def test_a_tenant_does_not_reach_into_another(
    house: Core, tenant: str, database_url: str
) -> None:
    """The same ids elsewhere are others' words."""
    other = f"{tenant}-other"
    for resource in directory():
        await put(house, other, resource)
    for name in (tenant, other):
        await conversation(house, name)
    before = rows(database_url, other)
    await asked(house, tenant)
    await house.gdpr().round([tenant])
    assert words_in(database_url, tenant) == {}
    assert rows(database_url, other) == before


async def test_a_thread_of_others_about_another(
    house: Core, tenant: str, database_url: str
) -> None:
    """What neither concerns nor has her stays."""
    await made(house, tenant, thread(patient="Patient/omid", topic={"text": "stays"}))
    alone = await made(house, tenant, thread(patient=None, topic={"text": "stays"}))
    await made(house, tenant, message(alone, "stays"))
    with_her = thread("Patient/zahra", patient=None, topic={"text": WORD})
    header = await made(house, tenant, with_her)
    await made(house, tenant, message(header, WORD))
    await asked(house, tenant)
    await house.gdpr().round([tenant])
    assert words_in(database_url, tenant) == {}
    assert words_in(database_url, tenant, "stays")["communication"] == 3


async def test_without_a_handler_a_request_waits(house: Core, tenant: str) -> None:
    id = await asked(house, tenant)
    gdpr = house.gdpr()
    gdpr.handlers = {}
    await gdpr.round([tenant])
    assert (await request(house, tenant, id))["status"] == "requested"


async def test_other_requests_do_not_wait_for_one_that_fails(
    house: Core, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log tells its kind, never its words."""
    first, second = await asked(house, tenant), await asked(house, tenant, "Patient/omid")
    gdpr = house.gdpr()
    eraser = gdpr.handlers["erase"]

    async def fail(job: Any) -> Any:
        if job.subject.id == "zahra":
            raise RuntimeError(WORD)
        return await eraser(job)

    gdpr.handlers = {"erase": fail}
    await gdpr.round([tenant])
    assert (await request(house, tenant, first))["status"] == "in-progress"
    assert (await request(house, tenant, second))["status"] == "completed"
    assert WORD not in caplog.text
    assert f"Task/{first}" in caplog.text
