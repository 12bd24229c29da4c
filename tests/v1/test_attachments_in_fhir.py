"""Attachments on the FHIR face: the same rules, and nobody gets past the scanner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fhir_server.settings import Settings
from tests.support.clamd import Double
from tests.v1.attachments import (
    INFECTED,
    PDF,
    announced,
    clean,
    put,
    reference,
    resource,
    settled,
    state,
    uploaded,
)
from tests.v1.conftest import BASE, Caller, Ward


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, folder: Path, double: Double) -> Settings:
    return Settings(
        environment="test",
        database_url=database_url,
        data_dir=folder / "data",
        files=str(folder / "files"),
        clamd=double.address,
    )


@pytest.fixture
def thread(amina: Caller) -> str:
    return amina.open_thread("usr_farid", "pat_zahra", patientId="pat_zahra")


def message(thread: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Communication",
        "status": "in-progress",
        "partOf": [{"reference": thread.replace("thr_", "Communication/")}],
        "payload": list(parts),
    }


def test_a_fhir_message_meets_the_same_rules(amina: Caller, farid: Caller, thread: str) -> None:
    infected, good = uploaded(amina, thread, INFECTED), clean(amina, thread)
    assert settled(amina, infected) == "infected"
    parts: list[tuple[int, dict[str, Any]]] = [
        (422, {"contentReference": {"reference": reference(infected)}}),
        (422, {"contentReference": {"reference": "DocumentReference/none"}}),
        (422, {"contentAttachment": {"contentType": "application/pdf", "data": "JVBERi0="}}),
        (422, {"contentAttachment": {"url": "https://elsewhere.example/x.pdf"}}),
        (422, {"contentAttachment": {"url": reference(good), "data": "JVBERi0="}}),
        (422, {"contentReference": {"reference": "https://elsewhere.example/Binary/x"}}),
        (422, {"contentReference": {"reference": f"https://x.example/{reference(good)}"}}),
        (422, {"contentReference": {"reference": "Binary/x"}}),
        (201, {"contentReference": {"reference": reference(good)}}),
        (201, {"contentAttachment": {"url": reference(good)}}),
        (201, {"contentAttachment": {"url": f"{BASE}/attachments/{good}/content"}}),
    ]
    for status, part in parts:
        answer = amina.client.post("/fhir/R4/Communication", json=message(thread, part))
        assert answer.status_code == status, answer.text
        if status == 201:
            assert answer.json()["payload"] == [
                {"contentReference": {"reference": reference(good)}}
            ]
            assert farid.messages(thread)[0]["attachmentIds"] == [good]
    assert len(farid.messages(thread)) == 3


def test_no_bytes_ride_within_a_fhir_message(amina: Caller, thread: str) -> None:
    hidden = {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "content": [{"attachment": {"contentType": "application/pdf", "data": "JVBERi0="}}],
    }
    within = message(thread, {"contentReference": {"reference": "#d"}})
    answer = amina.client.post("/fhir/R4/Communication", json={**within, "contained": [hidden]})
    assert answer.status_code == 422, answer.text
    seen = {"contentReference": {"reference": "Observation/x"}}
    answer = amina.client.post("/fhir/R4/Communication", json=message(thread, seen))
    assert answer.status_code == 201, answer.text


def test_a_backend_changes_no_message_past_the_scanner(
    ward: Ward, amina: Caller, thread: str
) -> None:
    infected, sent = uploaded(amina, thread, INFECTED), amina.send(thread)
    assert settled(amina, infected) == "infected"
    service = ward.sign_in(ward.tenant, "usr_amina", "SERVICE").client
    address = "/fhir/R4/" + sent.replace("msg_", "Communication/")
    before = service.get(address).json()
    part = {"contentReference": {"reference": reference(infected)}}
    answer = service.put(address, json={**before, "payload": [*before["payload"], part]})
    assert answer.status_code == 422, answer.text
    part = {"contentReference": {"reference": reference(clean(amina, thread))}}
    answer = service.put(address, json={**before, "payload": [*before["payload"], part]})
    assert answer.status_code == 200, answer.text


def draft(thread: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "meta": {"profile": ["https://fhir.ghasi.af/StructureDefinition/comm-attachment"]},
        "status": "current",
        "context": {"related": [{"reference": thread.replace("thr_", "Communication/")}]},
        "content": [
            {"attachment": {"title": "a.pdf", "contentType": "application/pdf", "size": len(PDF)}}
        ],
        **more,
    }


def test_a_fhir_client_announces_what_v1_uploads(amina: Caller, thread: str) -> None:
    answer = amina.client.post("/fhir/R4/DocumentReference", json=draft(thread))
    assert answer.status_code == 201, answer.text
    attachment = "att_" + answer.json()["id"]
    assert state(amina, attachment) == "initiated"
    assert put(amina, attachment).status_code == 200
    assert settled(amina, attachment) == "clean"


STATE = "https://fhir.ghasi.af/StructureDefinition/attachment-state"


@pytest.mark.parametrize(
    "more",
    [
        {"extension": [{"url": STATE, "valueCode": "clean"}]},
        {"masterIdentifier": {"value": "ab" * 32}},
        {"author": [{"reference": "Practitioner/farid"}]},
        {"author": [{"reference": "Practitioner/amina"}, {"reference": "Practitioner/farid"}]},
        {"context": {"related": [{"reference": "Communication/none"}]}},
        {"context": {"related": []}},
        {"content": [{"attachment": {"data": "JVBERi0=", "contentType": "application/pdf"}}]},
        {"content": [{"attachment": {}}]},
    ],
    ids=str,
)
@pytest.mark.parametrize("role", ["DOCTOR", "SERVICE"])
def test_nobody_announces_what_only_the_server_knows(
    ward: Ward, thread: str, more: dict[str, Any], role: str
) -> None:
    who = ward.sign_in(ward.tenant, "usr_amina", role).client
    answer = who.post("/fhir/R4/DocumentReference", json=draft(thread, **more))
    if role == "SERVICE" and more.get("author") == [{"reference": "Practitioner/farid"}]:
        assert answer.status_code == 201
    else:
        assert answer.status_code in (400, 403, 422), answer.text


@pytest.mark.parametrize("role", ["DOCTOR", "SERVICE"])
def test_nobody_but_the_server_moves_it_on(
    ward: Ward, amina: Caller, thread: str, role: str
) -> None:
    who = ward.sign_in(ward.tenant, "usr_amina", role).client
    attachment = announced(amina, thread)
    address = "/fhir/R4/" + reference(attachment)
    before = resource(amina, attachment)
    content = before["content"][0]["attachment"]
    changes: list[dict[str, Any]] = [
        {"extension": [{"url": STATE, "valueCode": "clean"}]},
        {"extension": [{"url": STATE, "valueCode": "quarantined"}]},
        {"docStatus": "final"},
        {"masterIdentifier": {"value": "ab" * 32}},
        {"content": [{"attachment": {**content, "hash": "bkzD21I+PIE0g0u6mxdpGmA9BeQ="}}]},
        {"content": [{"attachment": {**content, "size": 1}}]},
        {"author": [{"reference": "Practitioner/farid"}]},
    ]
    for change in changes:
        answer = who.put(address, json={**before, **change})
        assert answer.status_code in (403, 409, 422), (change, answer.text)
    bare = {name: v for name, v in before.items() if name not in ("extension", "meta")}
    assert who.put(address, json=bare).status_code in (403, 409, 422)
    assert who.delete(address).status_code == 403
    assert resource(amina, attachment) == before


def test_no_plain_document_becomes_an_attachment(ward: Ward, thread: str) -> None:
    amina = ward.doctor("amina")
    document = {k: v for k, v in draft(thread).items() if k != "meta"}
    document["author"] = [{"reference": "Practitioner/amina"}]
    document["subject"] = {"reference": "Patient/zahra"}
    answer = amina.client.post("/fhir/R4/DocumentReference", json=document)
    assert answer.status_code == 201, answer.text
    stored = answer.json()
    claimed = {**stored, "meta": draft(thread)["meta"]}
    answer = amina.client.put(f"/fhir/R4/DocumentReference/{stored['id']}", json=claimed)
    assert answer.status_code == 409, answer.text
