"""The label of a legal hold is an administrator's or a trusted backend's, whatever it lies on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.v1.conftest import Caller, Ward

pytestmark = pytest.mark.usefixtures("idle")

HOLD = {"system": "https://fhir.ghasi.af/CodeSystem/hold", "code": "legal-hold"}
OTHER = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ETH"}
PATCH = {"Content-Type": "application/json-patch+json"}
AMB = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
ZAHRA = {"reference": "Patient/zahra"}
MADE: list[dict[str, Any]] = [
    {"resourceType": "Encounter", "status": "planned", "class": AMB, "subject": ZAHRA},
    {"resourceType": "Task", "status": "requested", "intent": "order", "for": ZAHRA},
    {"resourceType": "Communication", "status": "completed", "subject": ZAHRA},
    {"resourceType": "List", "status": "current", "mode": "working", "subject": ZAHRA},
]


@pytest.fixture
def backend(ward: Ward) -> Caller:
    return ward.sign_in(ward.tenant, "usr_directory", "SERVICE")


@pytest.fixture
def places(amina: Caller) -> list[str]:
    """Where a thread, a message and one of each of MADE lie."""
    thread = amina.open_thread("usr_farid", "pat_zahra", patientId="pat_zahra")
    message = amina.send(thread)
    made = [amina.client.post(f"/fhir/R4/{one['resourceType']}", json=one).json() for one in MADE]
    ids = [thread.replace("thr_", "Communication/"), message.replace("msg_", "Communication/")]
    return [*ids, *(f"{one['resourceType']}/{one['id']}" for one in made)]


def put(who: Caller, place: str, *labels: dict[str, str]) -> int:
    """Writes it again with those labels and no others."""
    resource = who.fhir(f"/{place}")
    meta = {**resource["meta"], "security": list(labels)}
    resource["meta"] = {name: value for name, value in meta.items() if value}
    return who.client.put(f"/fhir/R4/{place}", json=resource).status_code


def labels(who: Caller, place: str) -> list[Any]:
    found: list[Any] = who.fhir(f"/{place}")["meta"].get("security", [])
    return found


def test_us_020_a_clinician_does_not_take_a_hold_away(
    amina: Caller, backend: Caller, places: list[str]
) -> None:
    for place in places:
        assert put(backend, place, HOLD, OTHER) == 200, place
        put(amina, place)
        assert HOLD in labels(backend, place), place
        patch = [{"op": "remove", "path": "/meta/security"}]
        amina.client.patch(f"/fhir/R4/{place}", json=patch, headers=PATCH)
        assert HOLD in labels(backend, place), place


def test_nor_sets_one(amina: Caller, backend: Caller, places: list[str]) -> None:
    for place in places:
        assert put(amina, place, HOLD) == 403, place
        assert labels(backend, place) == []
    for one in MADE:
        held = {**one, "meta": {"security": [HOLD]}}
        answer = amina.client.post(f"/fhir/R4/{one['resourceType']}", json=held)
        assert answer.status_code == 403, answer.text


def test_who_set_it_takes_it_away(backend: Caller, places: list[str]) -> None:
    for place in places:
        assert put(backend, place, HOLD) == 200
        assert put(backend, place) == 200
        assert labels(backend, place) == []


def test_a_held_thread_is_written_in(amina: Caller, backend: Caller, places: list[str]) -> None:
    thread = places[0]
    assert put(backend, thread, HOLD) == 200
    amina.send(thread.replace("Communication/", "thr_"))
    assert labels(backend, thread) == [HOLD]
