"""The order of refusals on every v1 route: 401, licence, scope, body, existence, state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.v1.conftest import BASE, Caller, Ward, key, refused

READ, WRITE = "messaging:read", "messaging:write"


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
