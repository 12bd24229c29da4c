"""Idempotency-Key and X-Client-Mutation-Id: one effect, one answer."""

from __future__ import annotations

import threading
from uuid import uuid4

import httpx
import pytest

from tests.v1.conftest import BASE, Ward, refused


def test_a_post_needs_a_key(ward: Ward) -> None:
    client = ward.doctor("amina").client
    answer = client.post(BASE + "/threads", json={"participantIds": ["usr_farid"], "subject": "x"})
    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize("bad", ["", "a b", "é".encode().decode("latin-1"), "x" * 256])
def test_a_key_that_is_none(ward: Ward, bad: str) -> None:
    body = {"participantIds": ["usr_farid"], "subject": "x"}
    headers = [(b"Idempotency-Key", bad.encode("latin-1"))]
    answer = ward.doctor("amina").client.post(BASE + "/threads", json=body, headers=headers)
    assert refused(answer) == (400, "VALIDATION_ERROR")


def test_a_key_for_another_body(ward: Ward) -> None:
    amina = ward.doctor("amina")
    thread, used = amina.open_thread("usr_farid"), str(uuid4())
    path = f"/threads/{thread}/messages"
    assert amina.post(path, {"body": "a"}, Idempotency_Key=used).status_code == 201
    answer = amina.post(path, {"body": "b"}, Idempotency_Key=used)
    assert refused(answer) == (422, "VALIDATION_ERROR")
    assert [m["body"] for m in amina.messages(thread)] == ["a"]


def test_a_key_is_its_callers_own(ward: Ward) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread, used = amina.open_thread("usr_farid"), str(uuid4())
    for caller in (amina, farid):
        answer = caller.post(f"/threads/{thread}/messages", {"body": "a"}, Idempotency_Key=used)
        assert answer.status_code == 201
        assert "Idempotency-Replayed" not in answer.headers
    assert len(amina.messages(thread)) == 2


def test_a_refusal_is_not_kept(ward: Ward) -> None:
    amina = ward.doctor("amina")
    used = str(uuid4())
    wrong = {"participantIds": ["usr_nobody"], "subject": "x"}
    assert amina.post("/threads", wrong, Idempotency_Key=used).status_code == 403
    right = {"participantIds": ["usr_farid"], "subject": "x"}
    assert amina.post("/threads", right, Idempotency_Key=used).status_code == 201


def test_a_key_used_before_the_thread_was_archived_still_answers(ward: Ward) -> None:
    amina = ward.doctor("amina")
    thread, used = amina.open_thread("usr_farid"), str(uuid4())
    path = f"/threads/{thread}/messages"
    first = amina.post(path, {"body": "a"}, Idempotency_Key=used)
    amina.patch(f"/threads/{thread}/archive")
    again = amina.post(path, {"body": "a"}, Idempotency_Key=used)
    assert (again.status_code, again.content) == (201, first.content)


def test_the_same_key_at_the_same_time(ward: Ward) -> None:
    amina = ward.doctor("amina")
    thread, used = amina.open_thread("usr_farid"), str(uuid4())
    answers: list[httpx.Response] = []

    def send() -> None:
        path = f"/threads/{thread}/messages"
        answers.append(amina.post(path, {"body": "a"}, Idempotency_Key=used))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert len(amina.messages(thread)) == 1


def test_a_change_replayed_by_a_device(ward: Ward) -> None:
    """The client's own id of a change is kept, and found again under any idempotency key."""
    amina = ward.doctor("amina")
    thread, change = amina.open_thread("usr_farid"), str(uuid4())
    path = f"/threads/{thread}/messages"
    first, again = (amina.post(path, {"body": "a"}, X_Client_Mutation_Id=change) for _ in range(2))
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(amina.messages(thread)) == 1
    message = first.json()["messageId"].removeprefix("msg_")
    identifier = amina.fhir(f"/Communication/{message}")["identifier"][0]
    assert identifier["value"] == change
    assert identifier["system"].endswith("/client-mutation-id")


def test_a_retry_by_either_key_is_answered(ward: Ward) -> None:
    amina = ward.doctor("amina")
    thread, used, change = amina.open_thread("usr_farid"), str(uuid4()), str(uuid4())
    path = f"/threads/{thread}/messages"
    both = {"Idempotency_Key": used, "X_Client_Mutation_Id": change}
    first = amina.post(path, {"body": "a"}, **both)
    assert first.status_code == 201
    for keys in (both, {"Idempotency_Key": used}, {"X_Client_Mutation_Id": change}):
        again = amina.post(path, {"body": "a"}, **keys)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert refused(amina.post(path, {"body": "b"}, **keys)) == (422, "VALIDATION_ERROR")
    assert len(amina.messages(thread)) == 1
    other = {"Idempotency_Key": used, "X_Client_Mutation_Id": str(uuid4())}
    assert amina.post(path, {"body": "a"}, **other).content == first.content
