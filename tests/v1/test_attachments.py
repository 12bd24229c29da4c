"""COMMS-US-006 over HTTP, line by line, and what an attachment means on both faces."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from fhir_server.communication.attachment_state import ADDRESS
from fhir_server.settings import Settings
from tests.support.clamd import Double
from tests.v1.attachments import (
    INFECTED,
    PDF,
    announce,
    clean,
    fetch,
    kept,
    put,
    reference,
    resource,
    send,
    settled,
    state,
    uploaded,
)
from tests.v1.conftest import Caller, Ward, refused


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


# COMMS-US-006: upload an attachment with malware scan before attach


def test_us_006_clean_becomes_attachable(amina: Caller, farid: Caller, thread: str) -> None:
    """Given a file uploaded, when scan = clean, then attachment becomes attachable to messages."""
    attachment = uploaded(amina, thread)
    assert settled(amina, attachment) == "clean"
    answer = send(amina, thread, attachment)
    assert answer.status_code == 201, answer.text
    assert farid.messages(thread)[0]["attachmentIds"] == [attachment]
    assert fetch(farid, attachment).content == PDF


def test_us_006_infected_is_quarantined(
    ward: Ward, amina: Caller, thread: str, folder: Path
) -> None:
    """Given scan = infected, when scan completes, then quarantine event emitted and attachment
    unusable.
    """
    attachment = uploaded(amina, thread, INFECTED)
    assert settled(amina, attachment) == "infected"
    told = [e for e in ward.events() if e[0] == "communication.attachment.quarantined"]
    data = {
        "attachmentId": attachment,
        "threadId": thread,
        "uploaderId": "usr_amina",
        "state": "infected",
    }
    assert told == [("communication.attachment.quarantined", reference(attachment), data)]
    assert refused(send(amina, thread, attachment)) == (422, "ATTACHMENT_REJECTED")
    assert refused(fetch(amina, attachment)) == (409, "INVALID_STATE_TRANSITION")
    assert amina.messages(thread) == []
    assert INFECTED not in kept(folder / "files")
    found = resource(amina, attachment)
    assert (found["status"], found["docStatus"]) == ("entered-in-error", "entered-in-error")


def test_us_006_peers_see_it_only_after_the_scan(
    amina: Caller, farid: Caller, thread: str, double: Double
) -> None:
    """As a clinician, when I attach a file, I want it scanned before peers can see it so malware
    is blocked.
    """
    double.stop()
    try:
        attachment = uploaded(amina, thread)
        assert state(amina, attachment) == "quarantined"
        assert refused(farid.get(f"/attachments/{attachment}")) == (403, "FORBIDDEN")
        assert refused(fetch(farid, attachment)) == (403, "FORBIDDEN")
        assert refused(fetch(amina, attachment)) == (409, "INVALID_STATE_TRANSITION")
        answer = send(amina, thread, attachment)
        assert refused(answer) == (409, "INVALID_STATE_TRANSITION")
    finally:
        double.start()
    assert settled(amina, attachment) == "clean"
    assert refused(fetch(farid, attachment)) == (403, "FORBIDDEN")
    assert send(amina, thread, attachment).status_code == 201
    assert fetch(farid, attachment).content == PDF


# Its states, as FHIR has them


def test_what_a_clean_attachment_is_in_fhir(ward: Ward, amina: Caller, thread: str) -> None:
    attachment = clean(amina, thread)
    found = resource(amina, attachment)
    content = found["content"][0]["attachment"]
    assert (found["status"], found["docStatus"]) == ("current", "final")
    assert found["author"] == [{"reference": "Practitioner/amina"}]
    assert found["subject"] == {"reference": "Patient/zahra"}
    assert found["context"]["related"] == [{"reference": thread.replace("thr_", "Communication/")}]
    assert content["size"] == len(PDF)
    assert content["extension"][0]["valueString"] == hashlib.sha256(PDF).hexdigest()
    assert amina.client.get(content["url"]).content == PDF
    kinds = [kind for kind, subject, _ in ward.events() if subject == reference(attachment)]
    assert kinds == ["communication.attachment.uploaded", "communication.attachment.cleared"]
    assert "heart" not in str(ward.events())


def test_the_address_of_the_content_is_that_of_the_route(client: Any) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    found = next(path for path, methods in paths.items() if _is(methods, "downloadAttachment"))
    assert found.replace("{attachmentId}", "att_x") == ADDRESS.format(id="x")


def _is(methods: dict[str, Any], name: str) -> bool:
    return any(one["operationId"] == name for one in methods.values())


# Who may


def test_only_who_takes_part_may_download(
    ward: Ward, amina: Caller, farid: Caller, thread: str
) -> None:
    attachment = clean(amina, thread)
    zahra, sami = ward.patient("zahra"), ward.doctor("sami")
    for who in (farid, zahra, sami):
        assert refused(fetch(who, attachment)) == (403, "FORBIDDEN")
    assert send(amina, thread, attachment).status_code == 201
    for who in (amina, farid, zahra):
        assert fetch(who, attachment).content == PDF
    for who in (sami, ward.patient("omid")):
        assert refused(fetch(who, attachment)) == (403, "FORBIDDEN")


def test_reads_and_searches_on_the_fhir_face_say_the_same(
    ward: Ward, amina: Caller, farid: Caller, thread: str
) -> None:
    attachment = clean(amina, thread)

    def seen() -> list[bool]:
        names = (amina, farid, ward.patient("zahra"), ward.doctor("sami"), ward.patient("omid"))
        return [_seen(who, attachment) for who in names]

    assert seen() == [True, False, False, False, False]
    message = send(amina, thread, attachment).json()["messageId"]
    assert seen() == [True, True, True, False, False]
    withdrawn = {"op": "replace", "path": "/status", "value": "entered-in-error"}
    answer = amina.client.patch(
        "/fhir/R4/" + message.replace("msg_", "Communication/"),
        json=[withdrawn],
        headers={"content-type": "application/json-patch+json"},
    )
    assert answer.status_code == 200, answer.text
    assert seen() == [True, False, False, False, False]


def _seen(who: Caller, attachment: str) -> bool:
    """Whether a read shows it; a search, by id or by state, must agree."""
    read = who.client.get("/fhir/R4/" + reference(attachment)).status_code == 200
    id = attachment.removeprefix("att_")
    for query in (f"_id={id}", "attachment-state=clean&_sort=-date"):
        found = who.fhir(f"/DocumentReference?{query}").get("entry", ())
        assert (id in [entry["resource"]["id"] for entry in found]) == read
    return read


def test_documents_of_the_chart_stay_open_to_clinicians(ward: Ward, amina: Caller) -> None:
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": "Patient/zahra"},
        "content": [{"attachment": {"title": "letter"}}],
    }
    answer = amina.client.post("/fhir/R4/DocumentReference", json=document)
    assert answer.status_code == 201, answer.text
    id = answer.json()["id"]
    assert ward.doctor("sami").fhir(f"/DocumentReference/{id}")["id"] == id
    assert ward.patient("zahra").fhir(f"/DocumentReference/{id}")["id"] == id
    # It is no attachment: v1 does not know it, and no message takes it.
    assert refused(amina.get(f"/attachments/att_{id}")) == (404, "NOT_FOUND")
    assert refused(put(amina, f"att_{id}")) in ((404, "NOT_FOUND"), (403, "FORBIDDEN"))


def test_another_tenant_knows_nothing_of_it(wards: Any, amina: Caller, thread: str) -> None:
    attachment = clean(amina, thread)
    other = wards().doctor("amina")
    assert refused(other.get(f"/attachments/{attachment}")) == (404, "NOT_FOUND")
    assert refused(fetch(other, attachment)) == (404, "NOT_FOUND")
    assert refused(put(other, attachment)) == (404, "NOT_FOUND")
    there = other.open_thread("usr_farid")
    assert refused(send(other, there, attachment)) == (422, "ATTACHMENT_REJECTED")


def test_only_a_participant_adds_to_a_thread_and_only_while_it_is_open(
    ward: Ward, amina: Caller, thread: str
) -> None:
    for who in (ward.doctor("sami"), ward.patient("omid")):
        assert refused(announce(who, thread)) == (403, "FORBIDDEN")
    assert refused(announce(amina, "thr_none")) == (404, "NOT_FOUND")
    message = amina.send(thread).replace("msg_", "thr_")
    assert refused(announce(amina, message)) == (404, "NOT_FOUND")
    assert amina.patch(f"/threads/{thread}/archive").status_code == 200
    assert refused(announce(amina, thread)) == (409, "INVALID_STATE_TRANSITION")


def test_it_is_sent_in_its_own_thread_by_who_may_see_it(
    amina: Caller, farid: Caller, thread: str
) -> None:
    attachment = clean(amina, thread)
    other = amina.open_thread("usr_farid")
    for who, where in ((amina, other), (farid, thread)):
        assert refused(send(who, where, attachment)) == (422, "ATTACHMENT_REJECTED")
    answer = send(amina, thread, attachment, "att_none")
    assert refused(answer) == (422, "ATTACHMENT_REJECTED")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == "attachmentIds"
    assert amina.messages(thread) == []
    assert send(amina, thread, attachment).status_code == 201
    assert send(farid, thread, attachment).status_code == 201
