"""The work on attachments: what waits is found in the store, whatever happened before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.app import Core
from fhir_server.communication.attachment_state import TYPE, moved, state_of
from fhir_server.context import Context
from fhir_server.fhir.instant import now_text
from fhir_server.fhir.json import parse
from fhir_server.files import LostFileError
from fhir_server.files.clamd import Clamd
from fhir_server.files.scanner import ScannerDownError
from fhir_server.interactions import Resource
from fhir_server.problems import Problem
from fhir_server.workers import attachments
from fhir_server.workers.attachments import Attachments
from fhir_server.workers.tenants import worker
from tests.support.clamd import EICAR, Double

PDF = b"%PDF-1.7\n a picture of the heart"
CANONICAL = "https://fhir.ghasi.af/StructureDefinition"


@pytest.fixture
def double() -> Iterator[Double]:
    with Double().running() as double:
        yield double


@pytest.fixture
def work(core: Core, double: Double) -> Attachments:
    return anew(core, double)


def anew(core: Core, double: Double) -> Attachments:
    """As after a restart."""
    return Attachments(core.store, core.interactions, core.files, Clamd(double.address))


def service(tenant: str) -> Context:
    return Context(tenant, "tests", "Practitioner/amina", roles=frozenset({"SERVICE"}))


async def thread_of(core: Core, tenant: str) -> str:
    """A new thread."""
    thread = {
        "resourceType": "Communication",
        "meta": {"profile": [f"{CANONICAL}/comm-thread"]},
        "status": "in-progress",
        "topic": {"text": "x"},
        "recipient": [{"reference": "Practitioner/amina"}],
    }
    amina = {"resourceType": "Practitioner", "id": "amina"}
    await core.interactions.update(service(tenant), "Practitioner", "amina", amina)
    made = await core.interactions.create(service(tenant), "Communication", thread)
    assert made.stored is not None
    return made.stored.reference


async def announced(core: Core, tenant: str, **more: Any) -> str:
    """The id of a new one."""
    file = {"title": "a.pdf", "contentType": "application/pdf", "size": 9}
    resource: Resource = {
        "resourceType": TYPE,
        "meta": {"profile": [f"{CANONICAL}/comm-attachment"]},
        "status": "current",
        "context": {"related": [{"reference": await thread_of(core, tenant)}]},
        "content": [{"attachment": file}],
        **more,
    }
    made = await core.interactions.create(service(tenant), TYPE, resource)
    assert made.stored is not None
    return made.stored.id


async def waiting(core: Core, tenant: str, content: bytes = PDF) -> str:
    """The id of one whose content is here."""

    async def chunks() -> Any:
        yield content

    id = await announced(core, tenant)
    name = await core.files.write(tenant, chunks())

    def arrived(resource: Resource) -> Resource:
        moved_on = moved(resource, "quarantined")
        return {**moved_on, "masterIdentifier": {"value": name}}

    await core.interactions.patch(worker(tenant), TYPE, id, arrived)
    return id


async def resource(core: Core, tenant: str, id: str) -> Resource:
    found: Resource = parse((await core.interactions.read(service(tenant), TYPE, id)).body)
    return found


async def state(core: Core, tenant: str, id: str) -> str | None:
    return state_of(await resource(core, tenant, id))


async def events(core: Core, tenant: str, id: str) -> list[str]:
    async with core.store.sessions.session(worker(tenant)) as session:
        told = await core.store.outbox.after(session, 0)
    return [event.type.rpartition(".")[2] for _, event in told if event.subject == f"{TYPE}/{id}"]


def stored(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_each_gets_its_verdict(core: Core, work: Attachments, tenant: str) -> None:
    good, bad = await waiting(core, tenant), await waiting(core, tenant, PDF + EICAR)
    await work.round([tenant])
    assert await state(core, tenant, good) == "clean"
    assert await state(core, tenant, bad) == "infected"
    assert await events(core, tenant, good) == ["uploaded", "cleared"]
    assert await events(core, tenant, bad) == ["uploaded", "quarantined"]
    assert "masterIdentifier" not in await resource(core, tenant, bad)


async def test_there_may_be_more_than_a_page(
    core: Core, work: Attachments, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "PAGE", 3)
    waited = [await waiting(core, tenant) for _ in range(8)]
    await work.round([tenant])
    assert {await state(core, tenant, id) for id in waited} == {"clean"}


async def test_without_a_scanner_nothing_is_clean(core: Core, tenant: str) -> None:
    id = await waiting(core, tenant)
    await Attachments(core.store, core.interactions, core.files, None).round([tenant])
    assert await state(core, tenant, id) == "quarantined"


async def test_a_scanner_that_is_away_loses_nothing(
    core: Core, work: Attachments, double: Double, tenant: str
) -> None:
    id = await waiting(core, tenant)
    double.stop()
    with pytest.raises(ScannerDownError):
        await work.round([tenant])
    assert await state(core, tenant, id) == "quarantined"
    double.start()
    await anew(core, double).round([tenant])
    assert await state(core, tenant, id) == "clean"


async def test_what_cannot_be_scanned_rests_and_holds_nobody_up(
    core: Core, work: Attachments, double: Double, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = await waiting(core, tenant)
    double.answer = b"INSTREAM size limit exceeded. ERROR\0"
    await work.round([tenant])
    double.answer = None
    other, tries = await waiting(core, tenant), double.scanned
    await work.round([tenant])
    assert await state(core, tenant, stuck) == "quarantined"
    assert await state(core, tenant, other) == "clean"
    assert double.scanned == tries + 1
    later = worker(tenant).now + timedelta(minutes=2)
    monkeypatch.setattr(
        attachments,
        "worker",
        lambda name: Context(
            name, "fhir-server", roles=frozenset({"SERVICE"}), face="job", now=later
        ),
    )
    await work.round([tenant])
    assert await state(core, tenant, stuck) == "clean"


async def test_what_the_store_lost_is_never_clean(
    core: Core, work: Attachments, tenant: str
) -> None:
    id = await waiting(core, tenant)
    name = (await resource(core, tenant, id))["masterIdentifier"]["value"]
    await core.files.remove(tenant, name)
    await work.round([tenant])
    assert await state(core, tenant, id) == "quarantined"


async def test_several_servers_at_once_tell_it_once(
    core: Core, double: Double, tenant: str
) -> None:
    good, bad = await waiting(core, tenant), await waiting(core, tenant, PDF + EICAR)
    await asyncio.gather(*(anew(core, double).round([tenant]) for _ in range(4)))
    assert await events(core, tenant, good) == ["uploaded", "cleared"]
    assert await events(core, tenant, bad) == ["uploaded", "quarantined"]


async def test_a_crash_before_the_removal_is_made_good(
    core: Core, work: Attachments, double: Double, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crashes(*_: str) -> None:
        raise Problem(503, "transient", "the disk is away")

    id = await waiting(core, tenant, PDF + EICAR)
    name = (await resource(core, tenant, id))["masterIdentifier"]["value"]
    with monkeypatch.context() as broken:
        broken.setattr(type(core.files), "remove", crashes)
        with pytest.raises(Problem):
            await work.round([tenant])
    assert await state(core, tenant, id) == "infected"
    await anew(core, double).round([tenant])
    assert "masterIdentifier" not in await resource(core, tenant, id)
    assert [c async for c in _nothing(core, tenant, name)] == []


async def _nothing(core: Core, tenant: str, name: str) -> Any:
    try:
        async for chunk in core.files.read(tenant, name):
            yield chunk
    except LostFileError:
        return


async def test_what_never_came_is_given_up(core: Core, work: Attachments, tenant: str) -> None:
    past = now_text(worker(tenant).now - timedelta(days=2))
    old, new = await announced(core, tenant, date=past), await announced(core, tenant)

    async def half() -> Any:
        yield b"%PDF"

    await core.files.append(tenant, f"{TYPE}/{old}", 0, half())
    await work.round([tenant])
    assert await state(core, tenant, old) == "abandoned"
    assert await state(core, tenant, new) == "initiated"
    assert await core.files.length(tenant, f"{TYPE}/{old}") == 0
    assert (await resource(core, tenant, old))["docStatus"] == "entered-in-error"


async def test_what_was_begun_long_ago_is_swept_once_an_hour(
    core: Core, work: Attachments, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def half() -> Any:
        yield b"%PDF"

    await waiting(core, tenant)
    monkeypatch.setattr(attachments, "PATIENCE", timedelta(seconds=-10))
    monkeypatch.setattr(attachments, "tenants", lambda _: _all(tenant))
    lengths = []
    for every in (timedelta(hours=1), timedelta(hours=1), timedelta(0)):
        monkeypatch.setattr(attachments, "SWEEP_EVERY", every)
        await core.files.append(tenant, "left", await core.files.length(tenant, "left"), half())
        await work.round()
        lengths.append(await core.files.length(tenant, "left"))
    assert lengths == [0, 4, 0]


async def _all(tenant: str) -> list[str]:
    return [tenant]


async def test_it_goes_on_when_the_scanner_comes_back(
    core: Core,
    work: Attachments,
    double: Double,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(attachments, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(attachments, "LONGEST_DELAY", 0.02)
    double.stop()
    id = await waiting(core, tenant)
    with caplog.at_level(logging.WARNING):
        async with work.running():
            work.wake(tenant)
            await until(lambda: _true("cannot be reached" in caplog.text))
            double.start()
            await until(lambda: _is_clean(core, tenant, id))
            soon = await waiting(core, tenant)
            work.wake(tenant)
            await until(lambda: _is_clean(core, tenant, soon))
    assert caplog.text.count("cannot be reached") == 1


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what somebody else does."""
    for _ in range(3_000):
        if await met():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come so far")


async def _true(value: bool) -> bool:  # noqa: FBT001
    return value


async def _is_clean(core: Core, tenant: str, id: str) -> bool:
    return await state(core, tenant, id) == "clean"
