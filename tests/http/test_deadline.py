"""No request waits longer than it may, and what it was at is safe to send again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from fhir_server.settings import Settings
from tests.support.clinic import Clinic, refer, refusal, thread
from tests.support.server import listening

DEADLINE = 0.6


@pytest.fixture(scope="module")
def server_url(settings_of_tests: Settings) -> Iterator[str]:
    with listening(settings_of_tests.model_copy(update={"request_timeout": DEADLINE})) as address:
        yield address


@contextmanager
def stuck(database_url: str) -> Iterator[None]:
    """Nobody reads or writes communications until the end of the block."""
    with psycopg.connect(database_url) as owner:
        owner.execute("LOCK TABLE communication IN ACCESS EXCLUSIVE MODE")
        yield


def test_a_read_that_hangs_is_503_in_the_shape_of_its_face(
    clinic: Clinic, database_url: str
) -> None:
    with stuck(database_url):
        fhir = clinic.amina.get("Communication?_count=1")
        v1 = clinic.amina.v1("GET", "threads")
    assert refusal(fhir) == (503, "timeout")
    assert v1.status_code == 503
    assert v1.json()["error"]["code"] == "DEPENDENCY_UNAVAILABLE"
    assert fhir.headers["retry-after"] == v1.headers["retry-after"] == "1"
    assert clinic.amina.get("Communication?_count=1").status_code == 200


def test_a_write_that_hung_has_one_effect_however_often_it_is_sent(
    clinic: Clinic, database_url: str
) -> None:
    body = {"participantIds": ["usr_farid"], "subject": "Plan"}
    with stuck(database_url):
        first = clinic.amina.v1("POST", "threads", body, idempotency_key="again")
        condition = "identifier=urn:x|again"
        identified = thread(identifier=[{"system": "urn:x", "value": "again"}])
        second = clinic.amina.post(identified, if_none_exist=condition)
    assert (first.status_code, second.status_code) == (503, 503)
    for _ in range(3):
        last = clinic.amina.v1("POST", "threads", body, idempotency_key="again")
        assert last.status_code == 201
        assert clinic.amina.post(identified, if_none_exist=condition).status_code in {200, 201}
    assert len(clinic.amina.ids("Communication")) == 2


def test_an_upload_has_limits_of_its_own(clinic: Clinic) -> None:
    made = clinic.amina.created(thread(sender=refer(clinic.amina.reference)[0]))
    content = b"x" * 10
    body = {"fileName": "plan.txt", "contentType": "text/plain", "size": len(content)}
    path = f"threads/thr_{made['id']}/attachments"
    attachment = clinic.amina.v1("POST", path, body).json()["attachmentId"]

    def slowly() -> Iterator[bytes]:
        for byte in content:
            time.sleep(DEADLINE / 5)
            yield bytes([byte])

    with httpx.Client(base_url=str(clinic.amina.http.base_url)) as http:
        put = http.put(
            f"/v1/communication/attachments/{attachment}/content",
            content=slowly(),
            headers={"authorization": clinic.amina.authorization, "content-type": "text/plain"},
        )
    assert put.status_code == 200, put.text
