"""Rate limits as clients meet them (seed 000, 9): 60 messages a minute for each user, here 6."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.http.auth import mint
from fhir_server.settings import Settings
from tests.support.redis import redis_server
from tests.support.server import listening
from tests.v1.conftest import Caller, refused

SCALE = 0.1
EACH, ALL = 6, 100


@pytest.fixture(scope="module")
def settings_of_tests(settings_of_tests: Settings) -> Settings:
    return settings_of_tests.model_copy(update={"rate_limit_scale": SCALE})


@pytest.fixture
def amina(ward: Any) -> Caller:
    caller: Caller = ward.doctor("amina")
    return caller


def left(answer: httpx.Response) -> tuple[int, int, int]:
    names = ("Limit", "Remaining", "Reset")
    limit, remaining, reset = (int(answer.headers[f"X-RateLimit-{name}"]) for name in names)
    return limit, remaining, reset


def write(caller: Caller, thread: str, body: str = "Hello") -> httpx.Response:
    return caller.post(f"/threads/{thread}/messages", {"body": body})


def test_a_user_sends_so_many_and_no_more(ward: Any, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid")
    for n in range(EACH):
        answer = write(amina, thread)
        assert answer.status_code == 201
        limit, remaining, reset = left(answer)
        assert (limit, remaining) == (EACH, EACH - 1 - n)
        assert 1 <= reset <= 60
    answer = write(amina, thread)
    assert refused(answer) == (429, "RATE_LIMITED")
    assert left(answer)[:2] == (EACH, 0)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert len(amina.messages(thread)) == EACH
    assert write(ward.doctor("farid"), thread).status_code == 201


def test_a_tenant_sends_so_many_and_no_more(ward: Any, wards: Any) -> None:
    """Users who send a few each: the tenant's limit is met before any of theirs."""
    names = [f"d{n}" for n in range(ALL // 5 + 1)]
    service = ward.sign_in(ward.tenant, "usr_directory", "SERVICE").client
    for name in names:
        service.put(
            f"/fhir/R4/Practitioner/{name}", json={"resourceType": "Practitioner", "id": name}
        )
    thread = ward.doctor("amina").open_thread(*(f"usr_{name}" for name in names))
    answers = [write(ward.doctor(name), thread) for name in names for _ in range(5)]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [201] * ALL + [429] * (len(names) * 5 - ALL)
    assert left(answers[-1])[:2] == (ALL, 0)
    other = wards().doctor("amina")
    assert write(other, other.open_thread("usr_farid")).status_code == 201


def test_every_answer_tells(amina: Caller) -> None:
    """Refusals too, once it is known who asks."""
    assert left(amina.get("/threads"))[0] == 120
    assert left(amina.get("/threads/thr_none"))[0] == 120
    answer = write(amina, "thr_none", body="")
    assert refused(answer)[0] == 400
    assert left(answer)[:2] == (EACH, EACH - 1)


def test_the_old_prefix_is_the_same_family(amina: Caller) -> None:
    thread = amina.open_thread("usr_farid")
    write(amina, thread)
    path = f"/v1/messaging/threads/{thread}/messages"
    answer = amina.client.post(path, json={"body": "x"}, headers={"Idempotency-Key": "old"})
    assert left(answer)[1] == EACH - 2


def test_who_may_not_ask_is_not_counted(ward: Any, client: httpx.Client) -> None:
    caller = ward.sign_in(ward.tenant, "usr_amina", "DOCTOR", "messaging:read")
    answer = write(caller, "thr_none")
    assert refused(answer) == (403, "FORBIDDEN")
    assert "X-RateLimit-Limit" not in answer.headers
    assert client.get("/v1/communication/threads").status_code == 401


@pytest.fixture
def redis_url(folder: Path) -> Iterator[str]:
    with redis_server(folder) as url:
        yield url


def test_two_servers_with_one_redis_count_together(
    settings_of_tests: Settings, redis_url: str, tenant: str
) -> None:
    settings = settings_of_tests.model_copy(update={"redis_url": redis_url})
    token = mint(
        settings,
        tenant=tenant,
        sub="usr_amina",
        roles=["DOCTOR"],
        scope="messaging:write",
        modules=["engage.messaging"],
    )
    with listening(settings) as one, listening(settings) as two:
        clients = [
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"})
            for url in (one, two)
        ]
        answers = [write(Caller(clients[n % 2]), "thr_none") for n in range(EACH + 4)]
        for client in clients:
            client.close()
    assert [answer.status_code for answer in answers] == [404] * EACH + [429] * 4
