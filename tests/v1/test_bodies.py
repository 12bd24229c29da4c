"""What v1 bodies, ids and parameters may say, and how what they may not is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.v1.conftest import BASE, Ward, key, refused


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"participantIds", "subject"}),
        ({"participantIds": [], "subject": "x"}, {"participantIds"}),
        ({"participantIds": ["pat_a", 7], "subject": ""}, {"participantIds[1]", "subject"}),
        ({"participantIds": ["doc_a"], "subject": "x"}, {"participantIds[0]"}),
        ({"participantIds": ["usr_a"], "subject": "x", "patientId": "usr_a"}, {"patientId"}),
        ({"participantIds": ["usr_a"], "subject": "x", "urgent": True}, {"urgent"}),
        ({"participantIds": ["usr_a"], "subject": None}, {"subject"}),
    ],
)
def test_every_wrong_field_is_named(ward: Ward, body: Any, fields: set[str]) -> None:
    answer = ward.doctor("amina").post("/threads", body)
    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert {f["field"] for f in answer.json()["error"]["details"]["fields"]} == fields


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b'{"body":"a","body":"b"}', "application/json", 400),
        (b'{"body":"a\\u0000"}', "application/json", 400),
        (b'{"body":"\\ud800"}', "application/json", 400),
        (b'{"body":"\xff"}', "application/json", 400),
        (b'{"body":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "application/json", 400),
        (b'{"body":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, "application/json", 400),
        (b'{"body":"a"}', "text/plain", 415),
        (b'{"body":"a"}', "", 415),
        (b'{"body":"' + b"a" * 3_000_000 + b'"}', "application/json", 413),
    ],
)
def test_broken_bodies(ward: Ward, content: bytes, kind: str, status: int) -> None:
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    headers = {**key(), "Content-Type": kind}
    path = f"{BASE}/threads/{thread}/messages"
    answer = amina.client.post(path, content=content, headers=headers)
    assert refused(answer) == (status, "VALIDATION_ERROR")
    assert amina.messages(thread) == []


@pytest.mark.parametrize("urgency", ["routine", "urgent", "emergent"])
def test_urgency_there_and_back(ward: Ward, urgency: str) -> None:
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    amina.send(thread, "x", urgency)
    assert amina.messages(thread)[0]["urgency"] == urgency
    assert amina.threads()[0]["urgency"] == urgency
    assert len(amina.threads(urgent="true")) == (urgency != "routine")


@pytest.mark.parametrize("body", ["a\x07", "a" * 1_048_577, " ", "\N{NO-BREAK SPACE}"])
def test_what_no_message_can_say(ward: Ward, body: str) -> None:
    amina = ward.doctor("amina")
    answer = amina.post(f"/threads/{amina.open_thread('usr_farid')}/messages", {"body": body})
    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert [f["field"] for f in answer.json()["error"]["details"]["fields"]] == ["body"]


def test_what_a_message_can_say_is_kept_as_it_was_sent(ward: Ward) -> None:
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    said = ["  spaces  ", "lines\r\n\ttabs", "<b>no markup</b>", "د صحت حال څنګه دی؟", "👩🏽‍⚕️"]
    for body in said:
        amina.send(thread, body)
    assert [m["body"] for m in amina.messages(thread)] == said[::-1]


def test_urgency_is_routine_when_nobody_says(ward: Ward) -> None:
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    assert amina.post(f"/threads/{thread}/messages", {"body": "x"}).status_code == 201
    assert amina.messages(thread)[0]["urgency"] == "routine"


def test_reading_in_the_future_is_refused(ward: Ward) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid")
    message = amina.send(thread)
    for read_at in ("2999-01-01T00:00:00Z", "2026-01-01", "soon", 7):
        answer = farid.read(thread, message, readAt=read_at)  # type: ignore[arg-type]
        assert refused(answer) == (400, "VALIDATION_ERROR")
    assert amina.messages(thread)[0]["readBy"] == []


@pytest.mark.parametrize(
    "path",
    ["/threads/usr_a", "/threads/thr_", "/threads/thr_a b", "/threads/thr_%00", "/threads/abc"],
)
def test_what_is_no_id(ward: Ward, path: str) -> None:
    answer = ward.doctor("amina").client.get(BASE + path)
    assert refused(answer) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "query",
    [
        "patientid=pat_a",
        "patientId=usr_a",
        "patientId=",
        "patientId=pat_a,pat_b",
        "unreadOnly=yes",
        "urgent=1",
        "state=closed",
        "state=all&state=all",
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=ten",
        "limit=9999999999",
        "cursor=",
        "cursor=x",
        "cursor=%FF",
        "_count=5",
        "participant=usr_b",
        "x=" + "y" * 20_000,
    ],
)
def test_wrong_parameters(ward: Ward, query: str) -> None:
    answer = ward.doctor("amina").client.get(f"{BASE}/threads?{query}")
    assert refused(answer) == (400, "VALIDATION_ERROR")


def test_routes_without_parameters_take_none(ward: Ward) -> None:
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    assert refused(amina.get(f"/threads/{thread}", x="1")) == (400, "VALIDATION_ERROR")
    answer = amina.client.patch(f"{BASE}/threads/{thread}/archive?x=1")
    assert refused(answer) == (400, "VALIDATION_ERROR")
