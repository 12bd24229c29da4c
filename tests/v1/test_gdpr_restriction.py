"""Restriction of processing: the data stays, and nobody goes on with it, on either face."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.v1.attachments import announce
from tests.v1.conftest import Caller, Ward, refused
from tests.v1.gdpr import SCOPES, administrator, ask, asked, done

LABEL = {"system": "https://fhir.ghasi.af/CodeSystem/processing", "code": "R"}
CLOSED = (409, "INVALID_STATE_TRANSITION")


@pytest.fixture
def admin(ward: Ward) -> Caller:
    return administrator(ward)


@pytest.fixture
def backend(ward: Ward) -> Caller:
    return ward.sign_in(ward.tenant, "usr_directory", "SERVICE")


@pytest.fixture
def thread(amina: Caller, backend: Caller) -> str:
    """About zahra, whose care team amina belongs to, and farid does not."""
    member = [{"member": {"reference": "Practitioner/amina"}}]
    about = {"reference": "Patient/zahra"}
    put(
        backend,
        {
            "resourceType": "CareTeam",
            "id": "hers",
            "status": "active",
            "subject": about,
            "participant": member,
        },
    )
    role = {"resourceType": "PractitionerRole", "id": "on-call", "active": True}
    put(backend, role)
    return amina.open_thread("usr_farid", "pat_zahra", patientId="pat_zahra")


def put(who: Caller, resource: dict[str, Any]) -> httpx.Response:
    path = f"/fhir/R4/{resource['resourceType']}/{resource['id']}"
    answer = who.client.put(path, json=resource)
    assert answer.status_code in (200, 201), answer.text
    return answer


def restrict(admin: Caller, what: str = "restrict", patient: str = "pat_zahra") -> dict[str, Any]:
    told = done(admin, asked(admin, what, patientId=patient))
    assert told["state"] == "completed"
    return told


def labels(who: Caller, reference: str) -> list[Any]:
    found: list[Any] = who.fhir(f"/{reference}")["meta"].get("security", [])
    return found


def message(thread: str, **more: Any) -> dict[str, Any]:
    part = {"reference": thread.replace("thr_", "Communication/")}
    payload = [{"contentString": "and another thing"}]
    made = {"resourceType": "Communication", "status": "in-progress", "partOf": [part]}
    return {**made, "payload": payload, **more}


def test_nothing_new_about_the_patient(
    ward: Ward, admin: Caller, amina: Caller, thread: str
) -> None:
    told = restrict(admin)
    assert {one["kind"]: one["count"] for one in told["outcome"]} == {
        "Communication": 1,
        "Patient": 1,
    }
    zahra = ward.patient("zahra")
    for caller in (amina, zahra):
        assert refused(caller.post(f"/threads/{thread}/messages", {"body": "x"})) == CLOSED
    opening = {"participantIds": ["usr_farid"], "subject": "x", "patientId": "pat_zahra"}
    for answer in (
        amina.post("/threads", opening),
        amina.post(f"/threads/{thread}/escalate", {}),
        amina.post(f"/threads/{thread}/participants", {"participantIds": ["usr_sami"]}),
        announce(amina, thread),
    ):
        assert refused(answer) == CLOSED


@pytest.mark.parametrize("role", ["DOCTOR", "SERVICE"])
def test_nothing_new_on_the_fhir_face(ward: Ward, admin: Caller, thread: str, role: str) -> None:
    restrict(admin)
    caller = ward.sign_in(ward.tenant, "usr_amina", role).client
    sent = message(thread, sender={"reference": "Practitioner/amina"})
    assert caller.post("/fhir/R4/Communication", json=sent).status_code == 409
    opened = {
        "resourceType": "Communication",
        "status": "in-progress",
        "meta": {"profile": ["https://fhir.ghasi.af/StructureDefinition/comm-thread"]},
        "topic": {"text": "x"},
        "subject": {"reference": "Patient/zahra"},
        "sender": {"reference": "Practitioner/amina"},
        "recipient": [{"reference": "Practitioner/farid"}],
    }
    assert caller.post("/fhir/R4/Communication", json=opened).status_code == 409


@pytest.mark.usefixtures("thread")
def test_no_visit_and_no_document_by_a_person(
    admin: Caller, amina: Caller, backend: Caller
) -> None:
    ambulatory = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    content = [{"attachment": {"title": "x"}}]
    visit = {"resourceType": "Encounter", "status": "planned", "class": ambulatory}
    document = {"resourceType": "DocumentReference", "status": "current", "content": content}
    kinds: list[dict[str, Any]] = [visit, document]
    about = {"subject": {"reference": "Patient/zahra"}}
    before = [
        amina.client.post(f"/fhir/R4/{one['resourceType']}", json=one | about).json()
        for one in kinds
    ]
    restrict(admin)
    for one, old in zip(kinds, before, strict=True):
        path = f"/fhir/R4/{one['resourceType']}"
        assert amina.client.post(path, json=one | about).status_code == 409
        assert backend.client.post(path, json=one | about).status_code == 201
        put(amina, old)
        other = one | {"subject": {"reference": "Patient/omid"}}
        made = amina.client.post(path, json=other).json()
        assert amina.client.put(f"{path}/{made['id']}", json=made | about).status_code == 409


def test_reading_stays_with_care_team_and_patient(
    ward: Ward, admin: Caller, amina: Caller, farid: Caller, thread: str
) -> None:
    written = amina.send(thread)
    restrict(admin)
    for caller in (amina, ward.patient("zahra")):
        assert [one["messageId"] for one in caller.messages(thread)] == [written]
    assert refused(farid.get(f"/threads/{thread}/messages"))[0] == 403
    assert farid.threads() == []
    assert farid.client.get("/fhir/R4/Patient/zahra").status_code == 403
    assert "entry" not in farid.fhir("/Communication?subject=Patient/zahra")
    assert "entry" not in farid.fhir("/Patient?_id=zahra")
    reference = thread.replace("thr_", "Communication/")
    assert farid.client.get(f"/fhir/R4/{reference}/_history").status_code == 403
    assert farid.client.get("/fhir/R4/Patient/zahra/$everything").status_code == 403
    answer = ward.patient("zahra").read(thread, written)
    assert answer.status_code == 200, answer.text


def test_other_patients_are_not_concerned(admin: Caller, amina: Caller) -> None:
    other = amina.open_thread("usr_farid", patientId="pat_omid")
    restrict(admin)
    amina.send(other)
    amina.send(amina.open_thread("usr_farid", patientId="pat_omid"))


def test_it_is_lifted(admin: Caller, amina: Caller, farid: Caller, thread: str) -> None:
    restrict(admin)
    restrict(admin, "lift")
    assert labels(admin, "Patient/zahra") == []
    assert labels(amina, thread.replace("thr_", "Communication/")) == []
    amina.send(thread)
    assert len(farid.messages(thread)) == 1


def test_a_trusted_backend_may_ask_for_it_and_lift_it(admin: Caller, backend: Caller) -> None:
    for code in ("restrict", "lift"):
        system = "https://fhir.ghasi.af/CodeSystem/gdpr-request"
        task = {
            "resourceType": "Task",
            "status": "requested",
            "intent": "order",
            "code": {"coding": [{"system": system, "code": code}]},
            "for": {"reference": "Patient/zahra"},
        }
        made = backend.client.post("/fhir/R4/Task", json=task)
        assert made.status_code == 201, made.text
        assert done(admin, f"gdpr_{made.json()['id']}")["state"] == "completed"
        assert labels(admin, "Patient/zahra") == ([LABEL] if code == "restrict" else [])


def test_another_restriction_stays(admin: Caller, backend: Caller) -> None:
    """Who was labelled restricted before is so afterwards."""
    before = labels(backend, "Patient/sealed")
    restrict(admin, patient="pat_sealed")
    assert labels(backend, "Patient/sealed") == [*before, LABEL]
    restrict(admin, "lift", "pat_sealed")
    assert labels(backend, "Patient/sealed") == before


@pytest.mark.parametrize("role", ["ADMIN", "SERVICE"])
def test_nobody_else_takes_the_label_away(ward: Ward, admin: Caller, role: str) -> None:
    restrict(admin)
    caller = ward.sign_in(ward.tenant, "usr_admin", role)
    put(caller, {"resourceType": "Patient", "id": "zahra", "active": True})
    assert labels(caller, "Patient/zahra") == [LABEL]
    assert caller.fhir("/Patient/zahra")["active"] is True
    patch = [{"op": "remove", "path": "/meta/security"}]
    headers = {"Content-Type": "application/json-patch+json"}
    caller.client.patch("/fhir/R4/Patient/zahra", json=patch, headers=headers)
    assert labels(caller, "Patient/zahra") == [LABEL]
    assert caller.client.delete("/fhir/R4/Patient/zahra").status_code == 409


@pytest.mark.parametrize("role", ["DOCTOR", "SERVICE"])
def test_nobody_takes_it_from_a_thread(ward: Ward, admin: Caller, thread: str, role: str) -> None:
    restrict(admin)
    caller = ward.sign_in(ward.tenant, "usr_amina", role)
    reference = thread.replace("thr_", "Communication/")
    resource = caller.fhir(f"/{reference}")
    del resource["meta"]["security"]
    put(caller, {**resource, "topic": {"text": "y"}})
    assert labels(caller, reference) == [LABEL]


@pytest.mark.parametrize("role", ["ADMIN", "SERVICE"])
def test_nobody_else_sets_the_label(ward: Ward, role: str) -> None:
    caller = ward.sign_in(ward.tenant, "usr_admin", role)
    resource = {"resourceType": "Patient", "id": "zahra", "meta": {"security": [LABEL]}}
    answer = caller.client.put("/fhir/R4/Patient/zahra", json=resource)
    assert answer.status_code == 403, answer.text
    assert labels(caller, "Patient/zahra") == []


def test_only_patients_are_restricted(admin: Caller) -> None:
    assert refused(ask(admin, "restrict", userId="usr_farid")) == (400, "VALIDATION_ERROR")
    assert refused(ask(admin, "restrict", patientId="usr_farid")) == (400, "VALIDATION_ERROR")
    system = "https://fhir.ghasi.af/CodeSystem/gdpr-request"
    task = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": system, "code": "restrict"}]},
        "for": {"reference": "Practitioner/farid"},
    }
    assert admin.client.post("/fhir/R4/Task", json=task).status_code == 422


def test_who_may_not_ask(ward: Ward) -> None:
    doctor = ward.sign_in(ward.tenant, "usr_amina", "DOCTOR", SCOPES)
    unscoped = ward.sign_in(ward.tenant, "usr_admin", "ADMIN", "gdpr:export gdpr:read")
    for caller in (doctor, unscoped):
        for what in ("restrict", "lift"):
            assert refused(ask(caller, what, patientId="pat_zahra")) == (403, "FORBIDDEN")


def test_it_is_told_without_a_reason(ward: Ward, admin: Caller) -> None:
    request = asked(admin, "restrict", patientId="pat_zahra", reason="she disputes it")
    done(admin, request)
    told = [
        (kind, data) for kind, _, data in ward.events() if kind.startswith("communication.gdpr")
    ]
    assert [kind for kind, _ in told] == [
        "communication.gdpr.requested",
        "communication.gdpr.completed",
    ]
    assert all(data["code"] == "restrict" for _, data in told)
    assert "disputes" not in str(told)
