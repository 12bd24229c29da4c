"""The rules that hold for every v1 route: order of refusals, keys, paging, old prefixes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.v1.conftest import BASE, Caller, Ward, key, refused

READ, WRITE = "messaging:read", "messaging:write"


# The order of refusals: 401, licence, scope, body, existence, state.


def test_no_token_comes_before_all_else(client: httpx.Client) -> None:
    answer = client.post(BASE + "/threads/thr_none/messages", content=b"{")
    assert refused(answer) == (401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_licence_before_scope(sign_in: Callable[..., Caller], tenant: str) -> None:
    caller = sign_in(tenant, "usr_a", "DOCTOR", "", modules=())
    assert refused(caller.post("/threads", {})) == (403, "MODULE_NOT_LICENSED")


@pytest.mark.parametrize(("scope", "method"), [(READ, "POST"), (WRITE, "GET")])
def test_scope_before_body(
    sign_in: Callable[..., Caller], tenant: str, scope: str, method: str
) -> None:
    caller = sign_in(tenant, "usr_a", "DOCTOR", scope)
    answer = caller.client.request(method, BASE + "/threads?unknown=1", content=b"{")
    assert refused(answer) == (403, "FORBIDDEN")


def test_body_before_existence(ward: Ward) -> None:
    answer = ward.doctor("amina").post("/threads/thr_none/messages", {"body": ""})
    assert refused(answer) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/threads/thr_none", None),
        ("GET", "/threads/thr_none/messages", None),
        ("PATCH", "/threads/thr_none/archive", None),
        ("POST", "/threads/thr_none/messages", {"body": "x"}),
        ("POST", "/threads/thr_none/read", {"messageIds": ["msg_none"]}),
    ],
)
def test_what_is_not_there(ward: Ward, method: str, path: str, body: Any) -> None:
    client = ward.doctor("amina").client
    answer = client.request(method, BASE + path, json=body, headers=key())
    assert refused(answer) == (404, "NOT_FOUND")


def test_what_belongs_to_another_tenant_is_not_there(ward: Ward, wards: Callable[[], Ward]) -> None:
    amina, stranger = ward.doctor("amina"), wards().doctor("amina")
    thread = amina.open_thread("usr_farid")
    message = amina.send(thread)
    assert refused(stranger.get(f"/threads/{thread}")) == (404, "NOT_FOUND")
    assert refused(stranger.get(f"/threads/{thread}/messages")) == (404, "NOT_FOUND")
    assert refused(stranger.patch(f"/threads/{thread}/archive")) == (404, "NOT_FOUND")
    assert refused(stranger.read(thread, message)) == (404, "NOT_FOUND")
    answer = stranger.post(f"/threads/{thread}/messages", {"body": "x"})
    assert refused(answer) == (404, "NOT_FOUND")
    assert stranger.threads(state="all") == []


def test_a_thread_is_its_participants_only(ward: Ward) -> None:
    amina, sami = ward.doctor("amina"), ward.doctor("sami")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    message = amina.send(thread)
    assert refused(sami.get(f"/threads/{thread}")) == (403, "FORBIDDEN")
    assert refused(sami.get(f"/threads/{thread}/messages")) == (403, "FORBIDDEN")
    assert refused(sami.patch(f"/threads/{thread}/archive")) == (403, "FORBIDDEN")
    assert refused(sami.read(thread, message)) == (403, "FORBIDDEN")
    answer = sami.post(f"/threads/{thread}/messages", {"body": "x"})
    assert refused(answer) == (403, "FORBIDDEN")
    assert sami.threads(state="all") == []


def test_a_message_is_no_thread(ward: Ward) -> None:
    amina = ward.doctor("amina")
    message = amina.send(amina.open_thread("usr_farid")).replace("msg_", "thr_")
    answer = amina.post(f"/threads/{message}/messages", {"body": "x"})
    assert refused(answer) == (404, "NOT_FOUND")
    assert refused(amina.get(f"/threads/{message}")) == (404, "NOT_FOUND")
    assert refused(amina.get(f"/threads/{message}/messages")) == (404, "NOT_FOUND")
    assert refused(amina.patch(f"/threads/{message}/archive")) == (404, "NOT_FOUND")


def test_a_message_of_another_thread_cannot_be_read_here(ward: Ward) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    here, there = amina.open_thread("usr_farid"), amina.open_thread("usr_farid")
    message = amina.send(there)
    assert refused(farid.read(here, message)) == (404, "NOT_FOUND")


def test_a_client_that_is_nobody_takes_part_in_nothing(
    sign_in: Callable[..., Caller], tenant: str
) -> None:
    service = sign_in(tenant, "backend", "SERVICE")
    assert refused(service.get("/threads")) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/threads", "GET, HEAD, POST"), ("DELETE", "/threads/thr_a", "GET, HEAD")],
)
def test_another_method(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, BASE + path)
    assert refused(answer) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/threads/", "/threads/thr_a/nothing"])
def test_another_path(client: httpx.Client, path: str) -> None:
    assert refused(client.get(BASE + path)) == (404, "NOT_FOUND")


# Bodies and parameters


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


# Keys


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


# Lists


def test_pages_are_the_whole_list(ward: Ward) -> None:
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    sent = [amina.send(thread, str(n)) for n in range(7)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(4):
        answer = amina.get(f"/threads/{thread}/messages", limit="2", **cursor).json()
        found += [message["messageId"] for message in answer["items"]]
        if "nextCursor" not in answer:
            break
        cursor = {"cursor": answer["nextCursor"]}
        amina.send(thread, "arrives while paging")
    assert found == sent[::-1]


def test_a_cursor_of_another_list(ward: Ward) -> None:
    amina = ward.doctor("amina")
    one, two = (amina.open_thread("usr_farid") for _ in range(2))
    for _ in range(2):
        amina.send(one)
    cursor = amina.get(f"/threads/{one}/messages", limit="1").json()["nextCursor"]
    assert amina.get(f"/threads/{one}/messages", cursor=cursor).status_code == 200
    answer = amina.get(f"/threads/{two}/messages", cursor=cursor)
    assert refused(answer) == (400, "VALIDATION_ERROR")
    answer = ward.doctor("farid").get(f"/threads/{one}/messages", cursor=cursor)
    assert refused(answer) == (400, "VALIDATION_ERROR")


def test_a_thread_row_tells_what_an_inbox_shows(ward: Ward) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    assert {"lastMessageAt", "lastMessagePreview", "encounterId"} & set(farid.threads()[0]) == set()
    amina.send(thread, "first")
    amina.send(thread, "x" * 200, "urgent")
    row = farid.threads(patientId="pat_zahra", unreadOnly="true", urgent="true")[0]
    last = amina.messages(thread)[0]
    assert row["threadId"] == thread
    assert row["subject"] == "Ward round"
    assert row["patientId"] == "pat_zahra"
    assert row["creatorId"] == "usr_amina"
    assert set(row["participantIds"]) == {"usr_amina", "usr_farid"}
    assert row["state"] == "active"
    assert row["lastMessageAt"] == last["sentAt"]
    assert row["lastMessagePreview"] == "x" * 140
    assert row["unreadCount"] == 2
    assert row["urgency"] == "urgent"
    assert amina.threads()[0]["unreadCount"] == 0
    assert amina.threads(unreadOnly="true") == []


# Old prefixes


@pytest.mark.parametrize(
    ("prefix", "sunset"),
    [
        ("/v1/digital-communication", "Fri, 31 Dec 2027 00:00:00 GMT"),
        ("/v1/messaging", "Wed, 30 Jun 2027 00:00:00 GMT"),
    ],
)
def test_old_prefixes_answer_the_same_and_say_where_to_go(
    ward: Ward, prefix: str, sunset: str
) -> None:
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    old = amina.client.get(f"{prefix}/threads/{thread}")
    assert old.json() == amina.get(f"/threads/{thread}").json()
    assert old.headers["Sunset"] == sunset
    assert old.headers["Deprecation"].startswith("@")
    successor = f'<{BASE}/threads/{thread}>; rel="successor-version"'
    assert old.headers["Link"] == successor
    assert "Sunset" not in amina.get(f"/threads/{thread}").headers
