"""What is told to others of a conversation: that something happened, never what was said."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.support.clinic import Clinic, message, reference, thread

SECRETS = ("Bad news", "Hush-hush", "Zahrawi", "1970-01-01")
Events = list[tuple[str, str, dict[str, Any]]]


def told(url: str, tenant: str) -> Events:
    """Type, subject and data of the tenant's events, in order."""
    with psycopg.connect(url) as connection:
        query = "SELECT type, subject, data FROM outbox WHERE tenant = %s ORDER BY seq"
        return connection.execute(query, [tenant]).fetchall()


def test_a_conversation_is_told_without_its_words(clinic: Clinic, database_url: str) -> None:
    patient = {"resourceType": "Patient", "id": "zahra", "birthDate": "1970-01-01"}
    clinic.service.put({**patient, "name": [{"family": "Zahrawi"}]})
    header = clinic.amina.created(thread(topic={"text": "Hush-hush"}))
    said = clinic.amina.created(message(header, "Bad news", priority="stat"))
    clinic.farid.read(header, said)
    clinic.farid.read(header, said, at="2026-04-18T09:00:00Z")
    clinic.farid.put({**header, "topic": {"text": "Hush-hush!"}})
    clinic.farid.put({**header, "status": "completed"})
    events = told(database_url, clinic.tenant)
    assert [(kind, subject) for kind, subject, _ in events] == [
        ("communication.thread.created", reference(header)),
        ("communication.message.sent", reference(said)),
        ("communication.message.read", reference(said)),
        ("communication.thread.archived", reference(header)),
    ]
    created, sent, read, archived = (data for *_, data in events)
    assert created["threadId"] == sent["threadId"] == archived["threadId"] == f"thr_{header['id']}"
    assert sent["messageId"] == read["messageId"] == f"msg_{said['id']}"
    assert sent["urgency"] == "emergent"
    assert not [secret for secret in SECRETS if secret in str(events)]


def test_what_is_refused_is_not_told(clinic: Clinic, database_url: str) -> None:
    header = clinic.amina.created(thread())
    before = told(database_url, clinic.tenant)
    clinic.sami.post(message(header))
    clinic.sami.put({**header, "status": "completed"})
    clinic.amina.put({**header, "status": "completed"}, if_match='W/"7"')
    clinic.amina.post(thread("Practitioner/nobody"))
    assert told(database_url, clinic.tenant) == before


def test_a_key_used_again_tells_nothing_new(clinic: Clinic, database_url: str) -> None:
    body = {"participantIds": ["usr_farid"], "subject": "Plan"}
    answers = [clinic.amina.v1("POST", "threads", body, idempotency_key="k") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(told(database_url, clinic.tenant)) == 1
