"""The stories, one test for each line of their acceptance criteria."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from fhir_server.mapping.route import Route
from tests.v1.conftest import Caller, Ward, refused
from tests.v1.routes import NONE, ROUTES, Asked

# COMMS-US-001: create a care-team thread


def test_us_001_a_doctor_opens_a_thread(ward: Ward) -> None:
    """Given I have the DOCTOR role, when I POST /v1/communication/threads with valid
    participantIds in my tenant, then the server returns 201 and emits
    communication.thread.created.
    """
    body = {"participantIds": ["usr_farid"], "subject": "Plan for Zahra", "patientId": "pat_zahra"}
    answer = ward.doctor("amina").post("/threads", body)
    assert answer.status_code == 201
    thread = answer.json()
    assert set(thread) == {"threadId", "createdAt", "participantIds"}
    assert set(thread["participantIds"]) == {"usr_amina", "usr_farid"}
    reference = thread["threadId"].replace("thr_", "Communication/")
    assert ward.events()[-1][:2] == ("communication.thread.created", reference)


def test_us_001_a_participant_of_another_tenant(ward: Ward, wards: Callable[[], Ward]) -> None:
    """Given a participantId is in a different tenant, when I POST, then the server returns
    403 FORBIDDEN.
    """
    north = wards()
    service = north.sign_in(north.tenant, "usr_directory", "SERVICE").client
    noor = {"resourceType": "Practitioner", "id": "noor"}
    assert service.put("/fhir/R4/Practitioner/noor", json=noor).status_code == 201
    body = {"participantIds": ["usr_noor"], "subject": "Hello"}
    assert refused(ward.doctor("amina").post("/threads", body)) == (403, "FORBIDDEN")
    assert ward.doctor("amina").threads(state="all") == []


def test_us_001_a_patient_whose_chart_is_closed(ward: Ward) -> None:
    """Given I pass a patientId I cannot read (no chart permission), when I POST, then the server
    returns 403 FORBIDDEN.
    """
    body = {"participantIds": ["usr_farid"], "subject": "Hello", "patientId": "pat_sealed"}
    assert refused(ward.doctor("amina").post("/threads", body)) == (403, "FORBIDDEN")
    assert ward.doctor("amina").threads(state="all") == []


# COMMS-US-002: send a message in a thread


def test_us_002_a_participant_sends_a_message(ward: Ward) -> None:
    """Given I am a participant, when I POST a non-empty body with urgency, then the server returns
    201 with messageId and emits communication.message.sent.
    """
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    sent = {"body": "Potassium 6.9", "urgency": "emergent"}
    answer = farid.post(f"/threads/{thread}/messages", sent)
    assert answer.status_code == 201
    message = answer.json()
    assert set(message) == {"messageId", "threadId", "sentAt"}
    assert message["threadId"] == thread
    reference = message["messageId"].replace("msg_", "Communication/")
    assert ward.events()[-1][:2] == ("communication.message.sent", reference)


def test_us_002_the_message_is_a_communication_of_the_chart(ward: Ward) -> None:
    """I want it persisted and projected to FHIR Communication so downstream systems and chart
    timelines see it.
    """
    amina = ward.doctor("amina")
    message = amina.send(amina.open_thread("usr_farid", patientId="pat_zahra"), "Potassium 6.9")
    found = ward.doctor("sami").fhir("/Communication?patient=Patient/zahra&_sort=-sent")
    resource = found["entry"][0]["resource"]
    assert resource["id"] == message.removeprefix("msg_")
    assert resource["payload"] == [{"contentString": "Potassium 6.9"}]


def test_us_002_an_archived_thread_takes_no_message(ward: Ward) -> None:
    """Given the thread is archived, when I POST, then the server returns 409
    INVALID_STATE_TRANSITION.
    """
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    assert amina.patch(f"/threads/{thread}/archive").status_code == 200
    answer = amina.post(f"/threads/{thread}/messages", {"body": "late"})
    assert refused(answer) == (409, "INVALID_STATE_TRANSITION")
    assert amina.messages(thread) == []


def test_us_002_a_repeated_key_sends_once(ward: Ward) -> None:
    """Given I repeat with the same Idempotency-Key, when I POST, then the server returns the prior
    response without creating a duplicate.
    """
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    key = str(uuid4())
    first, again = (
        amina.post(f"/threads/{thread}/messages", {"body": "once"}, Idempotency_Key=key)
        for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(amina.messages(thread)) == 1


# COMMS-US-003: mark messages read


def test_us_003_reading_is_recorded(ward: Ward) -> None:
    """Given I POST /read with messageIds, when the request succeeds, then message_read_receipts
    upserts with read_at.
    """
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid")
    message = amina.send(thread)
    assert farid.threads()[0]["unreadCount"] == 1
    answer = farid.read(thread, message)
    assert answer.status_code == 200
    receipt = answer.json()["receipts"][0]
    assert answer.json()["threadId"] == thread
    assert receipt["messageId"] == message
    read_by = [{"readerId": "usr_farid", "readAt": receipt["readAt"]}]
    assert amina.messages(thread)[0]["readBy"] == read_by
    assert farid.threads()[0]["unreadCount"] == 0


def test_us_003_the_newer_time_stays(ward: Ward) -> None:
    """Given another device POSTs older read_at, when the second request arrives, then the newer
    read_at is retained (LWW).
    """
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid")
    message = amina.send(thread)
    for sent, standing in (
        ("2026-01-02T00:00:00.000Z", "2026-01-02T00:00:00.000Z"),
        ("2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"),
        ("2026-01-03T00:00:00.000Z", "2026-01-03T00:00:00.000Z"),
    ):
        answer = farid.read(thread, message, readAt=sent)
        assert answer.json()["receipts"] == [{"messageId": message, "readAt": standing}]
    assert [r["readAt"] for r in amina.messages(thread)[0]["readBy"]] == [standing]


# COMMS-US-005: archive a thread


def test_us_005_archiving(ward: Ward) -> None:
    """Given an active thread, when I PATCH /archive, then status = archived and new messages
    rejected.
    """
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid")
    message = amina.send(thread)
    answer = amina.patch(f"/threads/{thread}/archive")
    assert (answer.status_code, answer.json()) == (200, {"threadId": thread, "state": "archived"})
    assert ward.events()[-1][0] == "communication.thread.archived"
    rejected = farid.post(f"/threads/{thread}/messages", {"body": "late"})
    assert refused(rejected) == (409, "INVALID_STATE_TRANSITION")
    assert amina.get(f"/threads/{thread}").json()["state"] == "archived"
    assert [m["messageId"] for m in farid.messages(thread)] == [message]


def test_us_005_an_archived_thread_leaves_the_inbox(ward: Ward) -> None:
    """I want to archive the thread so it no longer appears in my inbox."""
    amina = ward.doctor("amina")
    kept, gone = amina.open_thread("usr_farid"), amina.open_thread("usr_farid")
    amina.patch(f"/threads/{gone}/archive")
    assert [t["threadId"] for t in amina.threads()] == [kept]
    assert [t["threadId"] for t in amina.threads(state="archived")] == [gone]
    assert [t["threadId"] for t in amina.threads(state="all")] == [gone, kept]


# COMMS-US-018: identity-bound PATIENT access


def test_us_018_a_patient_sees_only_her_own_threads(ward: Ward) -> None:
    """Given PATIENT role JWT, when GET /threads or /virtual-sessions, then results are scoped to
    the caller's patientId only.
    """
    amina = ward.doctor("amina")
    hers = amina.open_thread("pat_zahra", patientId="pat_zahra")
    omids = amina.open_thread("pat_omid", patientId="pat_omid")
    about_her = amina.open_thread("usr_farid", patientId="pat_zahra")
    zahra = ward.patient("zahra")
    assert [t["threadId"] for t in zahra.threads()] == [hers]
    assert [t["threadId"] for t in zahra.threads(patientId="pat_zahra")] == [hers]
    assert zahra.threads(patientId="pat_omid") == []
    for foreign in (omids, about_her):
        assert refused(zahra.get(f"/threads/{foreign}")) == (403, "FORBIDDEN")
        assert refused(zahra.get(f"/threads/{foreign}/messages")) == (403, "FORBIDDEN")


# COMMS-US-019: module entitlement


@pytest.mark.parametrize(
    "route", [route for route in ROUTES.values() if route.declared.module], ids=lambda r: r.id
)
@pytest.mark.parametrize("prefix", ["communication", "digital-communication", "messaging"])
def test_us_019_without_the_licence(
    sign_in: Callable[..., Caller], tenant: str, route: Route, prefix: str
) -> None:
    """Given a tenant without engage.messaging entitlement, when any /v1/communication/threads*
    called, then 403 MODULE_NOT_LICENSED.
    """
    karim = sign_in(tenant, "usr_karim", "DOCTOR", modules=())
    answer = Asked(route, NONE, f"/v1/{prefix}").by(karim.client)
    assert refused(answer) == (403, "MODULE_NOT_LICENSED")
