"""What people write stays in resources: no log, event, intent or refusal tells it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fhir_server.settings import Settings
from tests.support.clamd import Double
from tests.v1.attachments import PDF, announce, clean, put, send
from tests.v1.conftest import BASE, Caller, Ward
from tests.v1.routes import SCOPES

WORD = "hivpositive"


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, folder: Path, double: Double) -> Settings:
    return Settings(
        environment="test",
        database_url=database_url,
        data_dir=folder / "data",
        clamd=double.address,
    )


def wrong(who: Caller, thread: str) -> list[Any]:
    """Requests with the word in them, each refused for another reason."""
    post, at = who.post, f"/threads/{thread}"
    config = who.client.put
    return [
        post("/threads", {"participantIds": ["usr_none"], "subject": WORD}),
        post("/threads", {"participantIds": [WORD], "subject": WORD, "patientId": WORD}),
        post(f"{at}/messages", {"body": WORD + "\x07"}),
        post(f"{at}/messages", {"body": WORD, "urgency": WORD}),
        post(f"{at}/messages", {"body": WORD, "attachmentIds": [WORD]}),
        post("/threads/thr_none/messages", {"body": WORD}),
        post(f"{at}/escalate", {"reason": WORD + "\x07"}),
        post(f"{at}/escalate", {"reason": WORD, "urgency": WORD}),
        post(f"{at}/read", {"messageIds": [WORD], "readAt": WORD}),
        post(f"{at}/participants", {"participantIds": [WORD]}),
        announce(who, thread, fileName=f"{WORD}.exe"),
        announce(who, thread, fileName=f"{WORD}/a.pdf", contentType=WORD),
        who.get("/threads", patientId=WORD),
        who.get("/threads", state=WORD),
        who.get("/threads", cursor=WORD),
        config(f"{BASE}/config/escalation", json={"roles": [WORD + " x"], "onCallIds": [WORD]}),
        config(
            f"{BASE}/config/notifications/channels",
            json={"categories": [{"category": "x", "channels": [WORD]}]},
        ),
        config(f"{BASE}/config/virtual-care", json={"waitingRoom": WORD}),
    ]


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All but what the client of the tests says."""
    ours = (r for r in caplog.records if not r.name.startswith(("httpx", "httpcore")))
    return "\n".join(f"{record.getMessage()} {record.exc_text}" for record in ours)


def test_no_word_leaves_its_resource(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    service = ward.sign_in(ward.tenant, "usr_directory", "SERVICE")
    role = {"resourceType": "PractitionerRole", "id": "on-call"}
    service.client.put("/fhir/R4/PractitionerRole/on-call", json=role)
    amina = ward.sign_in(ward.tenant, "usr_amina", ["DOCTOR", "ADMIN"], SCOPES)
    with caplog.at_level(logging.DEBUG):
        thread = amina.open_thread("usr_farid", subject=WORD)
        amina.send(thread, WORD, "urgent")
        assert amina.post(f"/threads/{thread}/escalate", {"reason": WORD}).status_code == 201
        attachment = clean(amina, thread, fileName=f"{WORD}.pdf")
        assert send(amina, thread, attachment).status_code == 201
        put(amina, attachment, PDF)
        refusals = wrong(amina, thread)
    assert [answer.text for answer in refusals if WORD in answer.text] == []
    assert {answer.status_code for answer in refusals} <= {400, 403, 404}
    assert WORD not in logged(caplog)
    assert WORD not in str(ward.events())
    found = service.fhir("/CommunicationRequest?category=notification")
    assert len(found["entry"]) == 1
    assert WORD not in str(found)


def test_a_bug_tells_its_place_only(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the database says of a row that it refuses."""
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    refuse = """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused %', NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON communication FOR EACH ROW
        EXECUTE FUNCTION refuse();
    """
    with psycopg.connect(ward.database_url, autocommit=True) as connection:
        connection.execute(refuse)
        with caplog.at_level(logging.DEBUG):
            answer = amina.post(f"/threads/{thread}/messages", {"body": WORD})
        connection.execute("DROP TRIGGER refuse ON communication; DROP FUNCTION refuse()")
    assert answer.status_code == 500
    assert WORD not in answer.text
    assert "unhandled error at" in caplog.text
    assert WORD not in logged(caplog)
