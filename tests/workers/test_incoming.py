"""Events of other services: each has one effect, however often and by however many it comes."""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.app import Core
from fhir_server.cli import main
from fhir_server.fhir.json import parse
from fhir_server.problems import Problem
from fhir_server.workers.incoming import UnusableError
from fhir_server.workers.tenants import worker
from tests.support.effort import effort


def told(tenant: str, type_: str, data: Mapping[str, Any], /, **more: Any) -> bytes:
    """A CloudEvent of another service."""
    event = {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "urn:other",
        "type": type_,
        "tenantid": tenant,
        "data": data,
        **more,
    }
    return json.dumps(event).encode()


def registered(tenant: str, id: str = "pat_zahra", **more: Any) -> bytes:
    data = {"patientId": id, "familyName": "Ahmadi", "givenNames": ["Zahra"], **more}
    return told(tenant, "registration.patient.created", data)


def appointment(tenant: str, id: str = "apt_1", **more: Any) -> bytes:
    data = {
        "appointmentId": id,
        "patientId": "pat_zahra",
        "providerId": "usr_amina",
        "class": "VR",
        "scheduledStart": "2026-12-01T09:00:00Z",
        **more,
    }
    return told(tenant, "scheduling.appointment.created", data)


async def resource(core: Core, tenant: str, type_: str, id: str) -> dict[str, Any]:
    found: dict[str, Any] = parse((await core.interactions.read(worker(tenant), type_, id)).body)
    return found


async def visits(core: Core, tenant: str) -> list[dict[str, Any]]:
    page = await core.interactions.search(worker(tenant), "Encounter", [("class", "VR")])
    return [parse(match.body) for match in page.matches]


async def test_the_directory_follows_registration_and_identity(core: Core, tenant: str) -> None:
    incoming = core.incoming()
    assert await incoming.take(registered(tenant)) == ("written", "Patient/zahra")
    patient = await resource(core, tenant, "Patient", "zahra")
    assert patient["name"] == [{"family": "Ahmadi", "given": ["Zahra"]}]
    change = {"patientId": "pat_zahra", "birthDate": "1990-05-01", "unknown": {"x": 1}}
    await incoming.take(told(tenant, "registration.patient.updated", change))
    patient = await resource(core, tenant, "Patient", "zahra")
    assert patient["name"] == [{"family": "Ahmadi", "given": ["Zahra"]}]
    assert patient["birthDate"] == "1990-05-01"
    user = {"userId": "usr_amina", "familyName": "Rahimi", "active": True}
    await incoming.take(told(tenant, "identity.user.created", user))
    gone = told(tenant, "identity.user.deactivated", {"userId": "usr_amina"})
    assert await incoming.take(gone) == ("written", "Practitioner/amina")
    amina = await resource(core, tenant, "Practitioner", "amina")
    assert (amina["active"], amina["name"]) == (False, [{"family": "Rahimi"}])


async def test_what_the_event_has_no_words_for_stays(core: Core, tenant: str) -> None:
    label = [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]
    zahra = {"resourceType": "Patient", "id": "zahra", "meta": {"security": label}}
    await core.interactions.update(worker(tenant), "Patient", "zahra", zahra)
    await core.incoming().take(registered(tenant))
    patient = await resource(core, tenant, "Patient", "zahra")
    assert patient["meta"]["security"] == label
    assert patient["meta"]["versionId"] == "2"


async def test_an_appointment_makes_one_visit(core: Core, tenant: str) -> None:
    """COMMS-US-012: at most one for an appointment in a tenant, redelivered or told anew."""
    incoming, event = core.incoming(), appointment(tenant)
    await incoming.take(registered(tenant))
    first = await incoming.take(event)
    assert first.effect == "written"
    assert await incoming.take(event) == ("repeated", first.reference)
    assert await incoming.take(appointment(tenant)) == ("written", first.reference)
    (visit,) = await visits(core, tenant)
    assert f"Encounter/{visit['id']}" == first.reference
    assert visit["meta"]["versionId"] == "1"
    assert visit["status"] == "planned"
    assert visit["class"]["code"] == "VR"
    assert visit["appointment"] == [{"reference": "Appointment/1"}]
    assert visit["subject"] == {"reference": "Patient/zahra"}
    assert visit["participant"] == [{"individual": {"reference": "Practitioner/amina"}}]
    assert visit["period"] == {"start": "2026-12-01T09:00:00Z"}
    await incoming.take(appointment(tenant, "apt_2"))
    assert len(await visits(core, tenant)) == 2
    await incoming.take(appointment(tenant + "-other"))
    assert len(await visits(core, tenant)) == 2


async def test_other_appointments_are_ignored(core: Core, tenant: str) -> None:
    assert await core.incoming().take(appointment(tenant, **{"class": "AMB"})) == ("ignored", "")
    assert await visits(core, tenant) == []


async def test_many_at_once_have_one_effect(core: Core, tenant: str, database_url: str) -> None:
    same = appointment(tenant)
    events = [same] * 16 + [appointment(tenant) for _ in range(16)]
    incoming = core.incoming()
    outcomes = await asyncio.gather(*(incoming.take(event) for event in events))
    assert len({outcome.reference for outcome in outcomes}) == 1
    assert Counter(outcome.effect for outcome in outcomes) == {"written": 17, "repeated": 15}
    assert len(await visits(core, tenant)) == 1
    with psycopg.connect(database_url) as connection:
        kept = "SELECT count(*) FROM idempotency WHERE tenant = %s"
        assert connection.execute(kept, [tenant]).fetchone() == (17,)


async def test_a_key_belongs_to_its_source_and_tenant(core: Core, tenant: str) -> None:
    data = {"patientId": "pat_zahra"}
    incoming, type_ = core.incoming(), "registration.patient.created"
    for more in ({}, {"source": "urn:third"}):
        event = told(tenant, type_, data, id="1", **more)
        assert (await incoming.take(event)).effect == "written"
    assert (await incoming.take(told(tenant + "x", type_, data, id="1"))).effect == "written"


async def test_a_refused_event_leaves_no_trace_and_may_come_again(
    core: Core, tenant: str, database_url: str
) -> None:
    bad = registered(tenant, gender="zzz")
    for _ in range(2):
        with pytest.raises(Problem) as refused:
            await core.incoming().take(bad)
        assert refused.value.status == 422
    with psycopg.connect(database_url) as connection:
        for table in ("patient", "idempotency", "history"):
            found = connection.execute(f"SELECT FROM {table} WHERE tenant = %s", [tenant])
            assert found.fetchall() == []


@pytest.mark.parametrize(
    "change",
    [
        {"tenantid": None},
        {"tenantid": ""},
        {"tenantid": "a b"},
        {"tenantid": "x\n"},
        {"tenantid": "x" * 65},
        {"tenantid": 7},
        {"specversion": "0.3"},
        {"id": ""},
        {"id": "x" * 257},
        {"data": []},
        {"data": "text"},
        {"type": "no.such.type"},
    ],
    ids=str,
)
async def test_what_is_no_event_for_us(core: Core, tenant: str, change: dict[str, Any]) -> None:
    with pytest.raises(UnusableError):
        await core.incoming().take(told(tenant, "registration.patient.created", {}, **change))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'"x"'])
async def test_what_is_no_json_object(core: Core, body: bytes) -> None:
    with pytest.raises(UnusableError):
        await core.incoming().take(body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["patientId", "familyName", "givenNames", "birthDate", "gender", "active"])


async def taken(core: Core, body: bytes) -> bool:
    """Whether it was written, or refused with a 4xx."""
    try:
        outcome = await core.incoming().take(body)
    except Problem as problem:
        return 400 <= problem.status < 500
    return outcome.effect == "written"


async def test_any_data_is_written_or_refused(core: Core, tenant: str) -> None:
    """Never another exception than the two that the consumer knows."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=effort(60))
    @given(st.dictionaries(NAMES, VALUES))
    def law(data: dict[str, Any]) -> None:
        body = told(tenant, "registration.patient.created", {"patientId": "pat_1", **data})
        taking = asyncio.run_coroutine_threadsafe(taken(core, body), loop)
        assert taking.result(30)

    await asyncio.to_thread(law)


async def test_the_command_takes_one_event(
    core: Core,
    database_url: str,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", database_url)

    def publish(body: bytes) -> int:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
        return main(["events", "publish"])

    event = registered(tenant)
    assert await asyncio.to_thread(publish, event) == 0
    assert await asyncio.to_thread(publish, event) == 0
    assert capsys.readouterr().out == "written: Patient/zahra\nrepeated: Patient/zahra\n"
    assert await asyncio.to_thread(publish, registered(tenant, gender="zzz")) == 1
    assert "zzz" not in capsys.readouterr().err
    assert (await resource(core, tenant, "Patient", "zahra"))["meta"]["versionId"] == "1"
