"""The tenant's configuration (seed 000, 6): versioned resources behind two addresses, for
administrators only."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from fhir_server.definitions.loader import CANONICAL
from tests.v1.conftest import BASE, Caller, Ward, refused

CHANNELS = "/config/notifications/channels"
CARE = "/config/virtual-care"
MARKETING = {"category": "marketing", "channels": ["email"]}
CRITICAL = {"category": "critical-result", "channels": ["push", "sms", "in-app"]}
SCOPE = "config:read config:write user/*.cruds"


@pytest.fixture
def admin(ward: Ward) -> Caller:
    return ward.sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPE)


def put(caller: Caller, path: str, body: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.client.put(BASE + path, json=body, headers=named)


def test_us_011_a_valid_policy_persists(admin: Caller) -> None:
    """Given a PUT to /config/notifications/channels with valid policy, when accepted, then policy
    persists and takes effect on next dispatch. (The dispatch is in test_escalation.py.)"""
    answer = put(admin, CHANNELS, {"categories": [MARKETING, CRITICAL]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["categories"] == [MARKETING, CRITICAL]
    read = admin.get(CHANNELS)
    assert read.json() == answer.json()
    assert read.headers["ETag"] == answer.headers["ETag"] == 'W/"1"'


def test_it_is_a_resource_with_a_history(admin: Caller) -> None:
    put(admin, CHANNELS, {"categories": [MARKETING]})
    put(admin, CHANNELS, {"categories": []})
    assert admin.get(CHANNELS).json()["categories"] == []
    basic = admin.fhir("/Basic/notification-channels")
    [coding] = basic["code"]["coding"]
    assert coding["code"] == "notification-channels"
    assert basic["meta"]["versionId"] == "2"
    history = admin.fhir("/Basic/notification-channels/_history")
    methods = [entry["request"]["method"] for entry in history["entry"]]
    assert (history["total"], methods) == (2, ["PUT", "PUT"])


def test_none_yet(admin: Caller) -> None:
    assert refused(admin.get(CHANNELS)) == (404, "NOT_FOUND")
    assert refused(admin.get(CARE)) == (404, "NOT_FOUND")


def test_an_allowlist_may_be_empty(admin: Caller) -> None:
    nothing = {"category": "marketing", "channels": []}
    assert put(admin, CHANNELS, {"categories": [nothing]}).json()["categories"] == [nothing]
    assert admin.get(CHANNELS).json()["categories"] == [nothing]


def test_virtual_care_has_defaults(admin: Caller) -> None:
    answer = put(admin, CARE, {"joinTokenMinutes": 5})
    assert answer.status_code == 200, answer.text
    care = admin.get(CARE).json()
    assert care.pop("updatedAt")
    assert care == {
        "waitingRoom": True,
        "joinTokenMinutes": 5,
        "earlyJoinMinutes": 10,
        "noShowMinutes": 15,
        "maxParticipants": 10,
        "fallbackToMessage": True,
    }


@pytest.mark.parametrize("role", ["DOCTOR", "NURSE", "PATIENT", "SERVICE"])
def test_for_administrators_only(ward: Ward, role: str) -> None:
    caller = ward.sign_in(ward.tenant, "usr_amina", role, SCOPE)
    assert refused(caller.get(CHANNELS)) == (403, "FORBIDDEN")
    assert refused(put(caller, CHANNELS, {"categories": []})) == (403, "FORBIDDEN")
    assert refused(put(caller, CARE, {})) == (403, "FORBIDDEN")


def test_with_the_scope_only(ward: Ward) -> None:
    caller = ward.sign_in(ward.tenant, "usr_admin", "ADMIN", "config:read")
    assert refused(put(caller, CHANNELS, {"categories": []})) == (403, "FORBIDDEN")
    assert refused(caller.get(CHANNELS)) == (404, "NOT_FOUND")


def test_the_fhir_face_meets_the_same_rule(ward: Ward, admin: Caller) -> None:
    put(admin, CHANNELS, {"categories": [MARKETING]})
    basic = admin.fhir("/Basic/notification-channels")
    path = "/fhir/R4/Basic"
    doctor = ward.doctor("amina").client
    assert doctor.put(f"{path}/notification-channels", json=basic).status_code == 403
    twin = {name: value for name, value in basic.items() if name not in ("id", "meta")}
    assert doctor.post(path, json=twin).status_code == 403
    assert admin.client.post(path, json=twin).status_code == 422
    assert admin.client.put(f"{path}/notification-channels", json=basic).status_code == 200
    other = {**twin, "code": {"text": "something else"}, "id": "notification-channels"}
    assert admin.client.put(f"{path}/notification-channels", json=other).status_code == 422


def test_the_first_one_comes_by_the_fhir_face_too(ward: Ward, admin: Caller) -> None:
    """Its place is known, so an administrator need be no system to name it; nobody else, and
    nothing else, gets in there."""
    code = {"system": f"{CANONICAL}/CodeSystem/configuration", "code": "notification-channels"}
    basic = {"resourceType": "Basic", "id": "notification-channels", "code": {"coding": [code]}}
    place, doctor = "/fhir/R4/Basic/notification-channels", ward.doctor("amina").client
    plain = {**basic, "code": {"text": "x"}, "subject": {"reference": "Practitioner/amina"}}
    claimed = {**plain, "meta": {"profile": [f"{CANONICAL}/StructureDefinition/config-escalation"]}}
    for body, status in ((basic, 403), (plain, 405), (claimed, 405)):
        assert doctor.put(place, json=body).status_code == status
    assert admin.client.put(place, json=plain).status_code == 405
    elsewhere = {**basic, "id": "other"}
    assert admin.client.put("/fhir/R4/Basic/other", json=elsewhere).status_code == 405
    assert admin.client.put(place, json={**basic, "meta": 7}).status_code == 422
    assert admin.client.put(place, json=basic).status_code == 201
    assert admin.client.put(place, json=basic).status_code == 200
    assert admin.get(CHANNELS).json()["categories"] == []


def test_what_v1_does_not_know_stays(admin: Caller) -> None:
    put(admin, CHANNELS, {"categories": [MARKETING]})
    basic = admin.fhir("/Basic/notification-channels")
    extra = {"url": "https://example.org/note", "valueString": "kept"}
    basic["extension"].append(extra)
    admin.client.put("/fhir/R4/Basic/notification-channels", json=basic)
    put(admin, CHANNELS, {"categories": [CRITICAL]})
    assert extra in admin.fhir("/Basic/notification-channels")["extension"]


def test_if_match(admin: Caller) -> None:
    first = put(admin, CHANNELS, {"categories": [MARKETING]})
    tag = first.headers["ETag"]
    second = put(admin, CHANNELS, {"categories": [CRITICAL]}, If_Match=tag)
    assert (second.status_code, second.headers["ETag"]) == (200, 'W/"2"')
    stale = put(admin, CHANNELS, {"categories": []}, If_Match=tag)
    assert refused(stale) == (409, "CONFLICT")
    assert admin.get(CHANNELS).json()["categories"] == [CRITICAL]


def test_the_first_one_is_made_once(admin: Caller) -> None:
    bodies = [{"categories": [{**MARKETING, "category": f"c{n}"}]} for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: put(admin, CHANNELS, body), bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.headers["ETag"] for answer in answers) == [f'W/"{n}"' for n in range(1, 9)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHANNELS, {"categories": "all"}),
        (CHANNELS, {"categories": [{"channels": ["sms"]}]}),
        (CHANNELS, {"categories": [{"category": "x", "channels": ["pigeon"]}]}),
        (CHANNELS, {"categories": [{"category": "x", "chanels": []}]}),
        (CHANNELS, {"categories": [{"category": "", "channels": []}]}),
        (CARE, {"joinTokenMinutes": 0}),
        (CARE, {"joinTokenMinutes": "5"}),
        (CARE, {"waitingRoom": "yes"}),
        (CARE, {"unknown": 1}),
    ],
)
def test_a_policy_that_is_none(admin: Caller, path: str, body: Any) -> None:
    assert refused(put(admin, path, body)) == (400, "VALIDATION_ERROR")
    assert refused(admin.get(path)) == (404, "NOT_FOUND")


def test_each_tenant_has_its_own(wards: Callable[[], Ward], admin: Caller) -> None:
    put(admin, CHANNELS, {"categories": [MARKETING]})
    other = wards()
    stranger = other.sign_in(other.tenant, "usr_admin", "ADMIN", SCOPE)
    assert refused(stranger.get(CHANNELS)) == (404, "NOT_FOUND")
