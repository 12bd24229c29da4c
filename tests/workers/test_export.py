"""Exports that are cut off, watched, or over: no file is left that nobody asked for."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import boto3
import pytest

from fhir_server.app import Core
from fhir_server.communication.gdpr.export import file_of, until_of
from fhir_server.communication.gdpr.policy import Export
from fhir_server.communication.gdpr.request import CODE, state_of
from fhir_server.context import Context
from fhir_server.fhir.json import parse
from fhir_server.files import FileStore, LostFileError, build_files
from fhir_server.files.local import LocalFiles
from fhir_server.files.model import place_of
from fhir_server.interactions import Resource
from fhir_server.settings import Settings
from fhir_server.workers import gathered, gdpr
from fhir_server.workers.tenants import worker
from tests.support.effort import effort
from tests.support.s3 import KEYS, serving

CANONICAL = "https://fhir.ghasi.af/StructureDefinition"
MESSAGES = effort(30)
PATIENCE = 60.0


@pytest.fixture
async def house(core: Core, tenant: str) -> Core:
    for type_, id in (("Practitioner", "amina"), ("Patient", "zahra"), ("Patient", "omid")):
        await core.interactions.update(
            service(tenant), type_, id, {"resourceType": type_, "id": id}
        )
    return core


def service(tenant: str) -> Context:
    return Context(tenant, "tests", "Practitioner/amina", roles=frozenset({"SERVICE"}))


async def made(core: Core, tenant: str, resource: Resource) -> str:
    """Its id."""
    result = await core.interactions.create(service(tenant), resource["resourceType"], resource)
    assert result.stored is not None
    return result.stored.id


async def conversation(core: Core, tenant: str, messages: int) -> set[str]:
    """The ids of a new thread about zahra and its messages."""
    people = [{"reference": "Practitioner/amina"}, {"reference": "Patient/zahra"}]
    thread = {
        "resourceType": "Communication",
        "meta": {"profile": [f"{CANONICAL}/comm-thread"]},
        "status": "in-progress",
        "topic": {"text": "x"},
        "subject": {"reference": "Patient/zahra"},
        "recipient": people,
    }
    id = await made(core, tenant, thread)
    message = {
        "resourceType": "Communication",
        "status": "in-progress",
        "partOf": [{"reference": f"Communication/{id}"}],
    }
    gate = asyncio.Semaphore(8)

    async def send() -> str:
        async with gate:
            said = [{"contentString": os.urandom(8000).hex()}]
            return await made(core, tenant, {**message, "payload": said})

    return {id, *await asyncio.gather(*(send() for _ in range(messages)))}


async def asked(core: Core, tenant: str, code: str = "export") -> str:
    """The id of a request about zahra."""
    return await made(
        core,
        tenant,
        {
            "resourceType": "Task",
            "status": "requested",
            "intent": "order",
            "code": {"coding": [{"system": CODE, "code": code}]},
            "for": {"reference": "Patient/zahra"},
        },
    )


async def request(core: Core, tenant: str, id: str) -> Resource:
    return parse((await core.interactions.read(worker(tenant), "Task", id)).body)


async def whole(files: FileStore, tenant: str, name: str) -> bytes:
    return b"".join([chunk async for chunk in files.read(tenant, name)])


async def exported(core: Core, tenant: str, id: str) -> ZipFile:
    """The file that the request names."""
    name = file_of(await request(core, tenant, id))
    assert name is not None
    return ZipFile(io.BytesIO(await whole(core.files, tenant, name)))


def ids(zip: ZipFile, type_: str = "Communication") -> list[str]:
    return [json.loads(line)["id"] for line in zip.read(f"{type_}.ndjson").splitlines()]


def on_disk(settings: Settings, tenant: str) -> list[Path]:
    root = settings.data_dir / "files" / place_of(tenant)
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("pieces", [0, 1, 3])
async def test_a_server_that_is_killed_leaves_nothing(
    house: Core, tenant: str, settings_of_tests: Settings, pieces: int
) -> None:
    wanted = await conversation(house, tenant, 250)
    id = await asked(house, tenant)
    place = settings_of_tests.database_url or "", str(settings_of_tests.data_dir)
    command = [sys.executable, "-m", "tests.support.dying_exporter", *place, tenant, str(pieces)]
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == -signal.SIGKILL
    assert state_of(await request(house, tenant, id)) == "in-progress"
    assert len(on_disk(settings_of_tests, tenant)) == 1
    async with asyncio.timeout(PATIENCE):
        # PostgreSQL takes a moment to notice who died.
        while state_of(await request(house, tenant, id)) == "in-progress":
            await house.gdpr().round([tenant])
    zip = await exported(house, tenant, id)
    assert zip.testzip() is None
    assert sorted(ids(zip)) == sorted(wanted)
    (file,) = on_disk(settings_of_tests, tenant)
    assert file.name == file_of(await request(house, tenant, id))


class Watched(LocalFiles):
    """Waits after each piece until it is let on."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.piece, self.on = asyncio.Event(), asyncio.Semaphore(0)

    async def write(
        self, tenant: str, chunks: AsyncIterator[bytes], name: str | None = None
    ) -> str:
        return await super().write(tenant, self._watched(chunks), name)

    async def _watched(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self.piece.set()
            await self.on.acquire()
            yield chunk


async def test_how_far_it_is_can_be_seen(
    house: Core, tenant: str, settings_of_tests: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gdpr, "TELL_EVERY", 0)
    wanted = await conversation(house, tenant, 250)
    id = await asked(house, tenant)
    files = Watched(settings_of_tests.data_dir / "files")
    working = asyncio.create_task(replace(house, files=files).gdpr().round([tenant]))
    counts = set()
    async with asyncio.timeout(PATIENCE):
        while not working.done():
            piece = asyncio.create_task(files.piece.wait())
            await asyncio.wait([working, piece], return_when=asyncio.FIRST_COMPLETED)
            piece.cancel()
            files.piece.clear()
            seen = await request(house, tenant, id)
            counts.add((state_of(seen), _count(seen, "Communication")))
            files.on.release()
    assert {count for state, count in counts if state == "in-progress"} >= {0, 100, 200}
    finished = await request(house, tenant, id)
    assert (state_of(finished), _count(finished, "Communication")) == ("completed", len(wanted))


def _count(request: Resource, kind: str) -> int:
    told = {o["type"]["coding"][0]["code"]: o["valueInteger"] for o in request.get("output", ())}
    return int(told.get(kind, 0))


async def test_what_is_written_meanwhile_does_no_harm(
    house: Core, tenant: str, settings_of_tests: Settings
) -> None:
    """All that was there at the beginning is in it once, whatever is changed and added."""
    before = await conversation(house, tenant, 250)
    id = await asked(house, tenant)
    files = Watched(settings_of_tests.data_dir / "files")
    working = asyncio.create_task(replace(house, files=files).gdpr().round([tenant]))
    changing = iter(sorted(before))
    async with asyncio.timeout(PATIENCE):
        while not working.done():
            await conversation(house, tenant, 2)
            if changed := next(changing, None):
                await house.interactions.patch(
                    service(tenant),
                    "Communication",
                    changed,
                    lambda seen: {**seen, "note": [{"text": "seen"}]},
                )
            files.on.release()
    found = ids(await exported(house, tenant, id))
    assert len(found) == len(set(found))
    assert set(found) >= before


async def test_memory_does_not_grow_with_what_there_is(
    house: Core, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times as many messages, some megabytes of them, take no more."""
    monkeypatch.setattr(gathered, "PAGE", MESSAGES // 3)

    async def peak() -> int:
        id = await asked(house, tenant)
        tracemalloc.start()
        await house.gdpr().round([tenant])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert state_of(await request(house, tenant, id)) == "completed"
        return most

    await conversation(house, tenant, MESSAGES)
    await peak()
    few = await peak()
    await conversation(house, tenant, 9 * MESSAGES)
    assert await peak() < 1.2 * few + 500_000


async def test_a_file_has_its_days(house: Core, tenant: str, settings_of_tests: Settings) -> None:
    id = await asked(house, tenant)
    await house.gdpr().round([tenant])
    found = await request(house, tenant, id)
    until, kept = until_of(found), timedelta(days=house.policy.export.kept)
    assert until is not None
    assert timedelta() < worker(tenant).now + kept - until < timedelta(minutes=1)
    await house.gdpr().round()
    assert len(on_disk(settings_of_tests, tenant)) == 1
    over = house.policy.model_copy(update={"export": Export.model_construct(kept=-1)})
    again = await asked(house, tenant)
    await replace(house, policy=over).gdpr().round([tenant])
    assert len(on_disk(settings_of_tests, tenant)) == 2
    await house.gdpr().round()
    (file,) = on_disk(settings_of_tests, tenant)
    assert file.name == file_of(found)
    expired = await request(house, tenant, again)
    assert (state_of(expired), file_of(expired), until_of(expired)) == ("completed", None, None)
    assert file_of(await request(house, tenant, id))


async def test_it_goes_with_the_person(
    house: Core, tenant: str, settings_of_tests: Settings
) -> None:
    await conversation(house, tenant, 2)
    id = await asked(house, tenant)
    await house.gdpr().round([tenant])
    name = file_of(await request(house, tenant, id)) or ""
    await asked(house, tenant, "erase")
    await house.gdpr().round([tenant])
    with pytest.raises(LostFileError):
        await whole(house.files, tenant, name)
    assert on_disk(settings_of_tests, tenant) == []
    assert file_of(await request(house, tenant, id)) is None


async def test_in_a_bucket(house: Core, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = await conversation(house, tenant, 20)
    id = await asked(house, tenant)
    with serving() as address:
        boto3.client("s3", endpoint_url=address, **KEYS).create_bucket(Bucket="files")
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        for name, value in KEYS.items():
            monkeypatch.setenv(name.upper().replace("REGION_NAME", "AWS_REGION"), value)
        house = replace(house, files=build_files("s3://files"))
        await house.gdpr().round([tenant])
        assert sorted(ids(await exported(house, tenant, id))) == sorted(wanted)
        name = file_of(await request(house, tenant, id)) or ""
        await asked(house, tenant, "erase")
        await house.gdpr().round([tenant])
        with pytest.raises(LostFileError):
            await whole(house.files, tenant, name)
