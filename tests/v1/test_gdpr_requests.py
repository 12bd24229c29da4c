"""Requests under the GDPR: who may make them, of whom, and that one is open at a time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
import yaml

from fhir_server.declared import declared_root
from tests.v1.conftest import Caller, Ward, key, refused

SYSTEM = "https://fhir.ghasi.af/CodeSystem/gdpr-request"
SCOPES = "gdpr:erase gdpr:read user/*.cruds"


pytestmark = pytest.mark.usefixtures("idle")


def task(subject: str = "Patient/zahra", code: str = "erase", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": SYSTEM, "code": code}]},
        "for": {"reference": subject},
        **more,
    }


@pytest.fixture
def admin(ward: Ward) -> Caller:
    return ward.sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPES)


def ask(caller: Caller, body: dict[str, Any]) -> httpx.Response:
    return caller.client.post("/v1/gdpr/erase", json=body, headers=key())


def make(caller: Caller, resource: dict[str, Any]) -> httpx.Response:
    return caller.client.post("/fhir/R4/Task", json=resource)


def days() -> dict[str, int]:
    policy = yaml.safe_load((declared_root() / "capability/gdpr-policy.yaml").read_text())
    found: dict[str, int] = policy["days"]
    return found


def test_us_020_an_administrator_asks_for_an_erasure(admin: Caller, ward: Ward) -> None:
    answer = ask(admin, {"patientId": "pat_zahra", "reason": "asked in person"})
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert told["state"] == "requested"
    found = admin.client.get(f"/v1/gdpr/requests/{told['requestId']}").json()
    assert found["userId"] == "pat_zahra"
    assert found["code"] == "erase"
    due, asked = (datetime.fromisoformat(found[name]) for name in ("dueBy", "requestedAt"))
    assert due - asked == timedelta(days=days()["erase"])
    kind, subject, data = ward.events()[-1]
    assert kind == "communication.gdpr.requested"
    assert subject == told["requestId"].replace("gdpr_", "Task/")
    assert "asked in person" not in json.dumps(data)


@pytest.mark.parametrize("body", [{"patientId": "pat_zahra"}, {"userId": "pat_zahra"}])
def test_the_same_on_both_faces(admin: Caller, body: dict[str, Any]) -> None:
    """The v1 route and the FHIR create mean the same request: the second gets the first."""
    first = make(admin, task())
    assert first.status_code == 201, first.text
    again = ask(admin, body)
    assert again.json()["requestId"] == f"gdpr_{first.json()['id']}"
    stored = admin.fhir(f"/Task/{first.json()['id']}")
    assert stored["requester"] == {"reference": "Practitioner/admin"}
    assert stored["restriction"]["period"]["start"] == stored["authoredOn"]


def test_one_is_open_for_each_person_and_code(admin: Caller) -> None:
    def ask_for(subject: str) -> str:
        answer = make(admin, task(subject))
        assert answer.status_code in (200, 201), answer.text
        id: str = answer.json()["id"]
        return id

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(ask_for, ["Patient/zahra"] * 8))
    assert len(set(ids)) == 1
    assert ask_for("Patient/omid") not in ids
    cancelled = {**admin.fhir(f"/Task/{ids[0]}"), "status": "cancelled"}
    assert admin.client.put(f"/fhir/R4/Task/{ids[0]}", json=cancelled).status_code == 200
    assert ask_for("Patient/zahra") not in ids


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"patientId": "pat_zahra", "userId": "usr_farid"},
        {"patientId": "usr_farid"},
        {"userId": "zahra"},
        {"patientId": "pat_zahra", "code": "export"},
    ],
)
def test_a_request_names_exactly_one_person(admin: Caller, body: dict[str, Any]) -> None:
    assert refused(ask(admin, body)) == (400, "VALIDATION_ERROR")


def test_whom_nobody_knows_has_nothing_to_erase(admin: Caller) -> None:
    assert ask(admin, {"patientId": "pat_nobody"}).status_code in (400, 404, 422)
    assert make(admin, task("Patient/nobody")).status_code == 422


@pytest.mark.parametrize("role", ["DOCTOR", "NURSE", "PATIENT"])
def test_only_administrators_ask(ward: Ward, role: str) -> None:
    sub = "pat_zahra" if role == "PATIENT" else "usr_amina"
    patient = "Patient/zahra" if role == "PATIENT" else None
    caller = ward.sign_in(ward.tenant, sub, role, SCOPES, patient=patient)
    assert refused(ask(caller, {"patientId": "pat_zahra"})) == (403, "FORBIDDEN")
    assert make(caller, task()).status_code == 403


def test_the_scope_is_asked_for(ward: Ward) -> None:
    caller = ward.sign_in(ward.tenant, "usr_admin", "ADMIN", "messaging:write")
    assert refused(ask(caller, {"patientId": "pat_zahra"})) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    "change",
    [
        {"status": "completed"},
        {"status": "in-progress"},
        {"for": {"reference": "Patient/omid"}},
        {"code": {"coding": [{"system": SYSTEM, "code": "export"}]}},
        {"code": {"text": "something else"}},
        {"restriction": {"period": {"start": "2020-01-01", "end": "2100-01-01"}}},
    ],
)
@pytest.mark.parametrize("role", ["ADMIN", "SERVICE"])
def test_nobody_but_the_server_moves_it(ward: Ward, role: str, change: dict[str, Any]) -> None:
    caller = ward.sign_in(ward.tenant, "usr_admin", role, SCOPES + " system/*.cruds")
    made = make(caller, task()).json()
    answer = caller.client.put(f"/fhir/R4/Task/{made['id']}", json={**made, **change})
    assert answer.status_code in (403, 409, 422), answer.text
    assert caller.client.delete(f"/fhir/R4/Task/{made['id']}").status_code == 403
    assert caller.fhir(f"/Task/{made['id']}") == made


def test_other_work_is_not_the_administrators(admin: Caller, ward: Ward) -> None:
    other = {**task(), "code": {"text": "call her"}}
    assert make(admin, other).status_code == 403
    made = ward.doctor("amina").client.post("/fhir/R4/Task", json=other)
    assert made.status_code == 201, made.text
    assert admin.client.get(f"/fhir/R4/Task/{made.json()['id']}").status_code == 403


def test_a_clinician_does_not_see_requests(admin: Caller, ward: Ward) -> None:
    """Nor whether there are any: asked as a search, a history, or through the patient."""
    made = make(admin, task(code="export")).json()["id"]
    doctor = ward.sign_in(ward.tenant, "usr_amina", "DOCTOR")
    work = {name: value for name, value in task().items() if name != "code"}
    assert make(doctor, work).status_code == 201
    for path in (f"/Task/{made}", f"/Task/{made}/_history", f"/Task/{made}/_history/1"):
        assert doctor.client.get(f"/fhir/R4{path}").status_code == 403, path
    seen = [entry["resource"] for entry in doctor.fhir("/Task")["entry"]]
    assert seen
    assert made not in [one["id"] for one in seen]
    assert "entry" not in doctor.fhir("/Patient?_has:Task:subject:code=export")
    both = ward.sign_in(ward.tenant, "usr_admin", "DOCTOR")
    assert both.client.get(f"/fhir/R4/Task/{made}").status_code == 403
