"""COMMS-US-017: a critical result reaches those on call by three channels."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.app import Core
from fhir_server.fhir.json import parse
from fhir_server.problems import Problem
from fhir_server.workers.tenants import worker
from tests.workers.test_incoming import told

TYPE = "laboratory.result.critical.flagged"
ON_CALL = {"resourceType": "PractitionerRole", "id": "on-call", "active": True}


def flagged(tenant: str, **more: Any) -> bytes:
    """What a laboratory may say; it should say less."""
    said = {"patientId": "pat_zahra", "value": "Potassium 7.9", "patientName": "Zahra Ahmadi"}
    return told(tenant, TYPE, {"resultId": "res_77", **said, **more})


async def on_call(core: Core, tenant: str) -> None:
    await core.interactions.update(worker(tenant), "PractitionerRole", "on-call", ON_CALL)


async def intents(core: Core, tenant: str) -> list[dict[str, Any]]:
    asked = [("category", "critical-result")]
    page = await core.interactions.search(worker(tenant), "CommunicationRequest", asked)
    return [parse(match.body) for match in page.matches]


async def queued(core: Core, tenant: str) -> list[dict[str, Any]]:
    """The data of the events that a notification was asked for."""
    async with core.store.sessions.session(worker(tenant)) as session:
        events = [event for _, event in await core.store.outbox.after(session, 0)]
    return [dict(e.data) for e in events if e.type == "communication.notification.queued"]


async def test_us_017_a_critical_result_goes_out_on_three_channels(core: Core, tenant: str) -> None:
    """Given laboratory.result.critical.flagged, when consumed, then three intents dispatch in
    parallel on distinct channels: one CommunicationRequest with a `medium` for each.
    """
    await on_call(core, tenant)
    assert (await core.incoming().take(flagged(tenant))).effect == "written"
    (intent,) = await intents(core, tenant)
    (event,) = await queued(core, tenant)
    assert sorted(event["channels"]) == ["in-app", "push", "sms"]
    assert len(intent["medium"]) == 3
    assert event["recipientIds"] == ["rol_on-call"]
    assert event["correlationId"] == "res_77"
    assert (event["category"], event["urgency"]) == ("critical-result", "emergent")
    assert intent["meta"]["profile"] == ["https://fhir.ghasi.af/StructureDefinition/commreq-intent"]
    assert (intent["status"], intent["priority"]) == ("active", "stat")
    for word in ("Potassium", "Ahmadi", "zahra"):
        assert word not in str(intent) + str(event)


async def test_us_017_once_for_a_result(core: Core, tenant: str) -> None:
    """Redelivered, or told anew: the same intent."""
    await on_call(core, tenant)
    event = flagged(tenant)
    first = await core.incoming().take(event)
    assert await core.incoming().take(event) == ("repeated", first.reference)
    assert (await core.incoming().take(flagged(tenant))).reference == first.reference
    assert len(await intents(core, tenant)) == 1
    await core.incoming().take(flagged(tenant, resultId="res_78"))
    assert len(await intents(core, tenant)) == 2


async def test_us_017_who_ordered_it_is_told_as_well(core: Core, tenant: str) -> None:
    await on_call(core, tenant)
    await core.incoming().take(flagged(tenant, orderedById="usr_amina"))
    (intent,) = await intents(core, tenant)
    assert intent["recipient"] == [
        {"reference": "Practitioner/amina"},
        {"reference": "PractitionerRole/on-call"},
    ]


async def test_us_017_with_nobody_on_call(core: Core, tenant: str) -> None:
    """Who ordered it is told; where nobody would be, the event is refused and noticed."""
    with pytest.raises(Problem, match="nobody is on call"):
        await core.incoming().take(flagged(tenant))
    assert await intents(core, tenant) == []
    await core.incoming().take(flagged(tenant, orderedById="usr_amina"))
    (intent,) = await intents(core, tenant)
    assert intent["recipient"] == [{"reference": "Practitioner/amina"}]
