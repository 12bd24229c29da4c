"""`fhir-server events tail`: what was, and then what happens, when it happens."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

from fhir_server.app import Core
from fhir_server.events import tail
from fhir_server.settings import Settings
from fhir_server.workers.tenants import worker
from tests.support.clinic import thread

AMINA = {"reference": "Practitioner/amina"}


async def open_thread(core: Core, tenant: str) -> str:
    """The reference of a new one."""
    header = thread("Practitioner/amina", patient=None, sender=AMINA)
    stored = (await core.interactions.create(worker(tenant), "Communication", header)).stored
    assert stored is not None
    return stored.reference


async def test_it_follows_what_happens(
    core: Core, settings_of_tests: Settings, tenant: str
) -> None:
    amina = {"resourceType": "Practitioner", "id": "amina"}
    await core.interactions.update(worker(tenant), "Practitioner", "amina", amina)
    first = await open_thread(core, tenant)
    async with (
        core.store.doorbell.ringing(),
        aclosing(tail(settings_of_tests, tenant, follow=True)) as lines,
        asyncio.timeout(30),
    ):
        assert json.loads(await anext(lines))["subject"] == first
        for _ in range(3):
            coming = asyncio.ensure_future(anext(lines))
            reference = await open_thread(core, tenant)
            assert json.loads(await coming)["subject"] == reference


async def test_it_stops_after_the_last_one(
    core: Core, settings_of_tests: Settings, tenant: str
) -> None:
    amina = {"resourceType": "Practitioner", "id": "amina"}
    await core.interactions.update(worker(tenant), "Practitioner", "amina", amina)
    made = [await open_thread(core, tenant) for _ in range(2)]
    lines = [line async for line in tail(settings_of_tests, tenant, follow=False)]
    assert [json.loads(line)["subject"] for line in lines] == made
