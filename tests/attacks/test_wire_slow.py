"""Clients that are slow, silent or many: they are let go in time, and keep nobody from his answer.

A body that trickles is bounded where it is read: tests/bad_input/test_raw_http.py.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from fhir_server.http.connection import LARGEST_HEAD, MOST_AHEAD
from fhir_server.settings import Settings
from tests.attacks.raw import connected, is_closed, many, statuses, until, whole
from tests.bad_input.faces import quiet
from tests.conftest import Token
from tests.support.server import listening

MOST = 400
ATTACKERS = 300
GET = b"GET /fhir/R4/metadata HTTP/1.1\r\nHost: x\r\n"
UNFINISHED = (
    b"POST /fhir/R4/Patient HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\n"
    b"Content-Length: 1000000\r\nAuthorization: Bearer TOKEN\r\n\r\n"
)


@pytest.fixture(scope="module")
def hasty(settings_of_tests: Settings) -> Settings:
    """Settings with little patience."""
    changed = {"head_timeout": 0.5, "idle_timeout": 1, "stall_timeout": 1.5, "connections": MOST}
    return settings_of_tests.model_copy(update=changed)


@pytest.fixture(scope="module")
def server_url(hasty: Settings) -> Iterator[str]:
    with listening(hasty) as address:
        yield address


@pytest.fixture(autouse=True)
def without_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whoever hangs up amid his answer is no error of ours."""
    logger = logging.getLogger("uvicorn")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)
    quiet(caplog.records)


@contextmanager
def trickling(connections: list[socket.socket], byte: bytes = b"x") -> Iterator[None]:
    """Sends each of them a byte, again and again, until the end of the block."""
    enough = threading.Event()

    def trickle() -> None:
        while not enough.wait(0.2):
            for connection in connections:
                with suppress(OSError):
                    connection.send(byte)

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def served(client: httpx.Client) -> None:
    """A normal client has its answer."""
    for path in ("/health/live", "/fhir/R4/metadata"):
        assert client.get(path, timeout=20).status_code == 200


HEADS: dict[str, Callable[[int], bytes]] = {
    "a request line": lambda _: b"GET /fhir/R4/",
    "headers": lambda n: GET + b"X-Number: %d" % n,
    "a second request on a kept connection": lambda _: GET + b"\r\n" + b"GET /fhir/R4/",
    "line ends": lambda _: b"\r\n",
}


@pytest.mark.parametrize("case", HEADS)
def test_heads_that_trickle_keep_nobody_waiting_and_are_cut_off(
    server_url: str, client: httpx.Client, case: str
) -> None:
    byte = b"\r\n" if case == "line ends" else b"x"
    with many(server_url, ATTACKERS) as attackers, trickling(attackers, byte):
        for number, attacker in enumerate(attackers):
            attacker.sendall(HEADS[case](number))
        while not all(map(is_closed, attackers)):
            served(client)
    served(client)


def test_connections_that_say_nothing_are_closed(server_url: str, client: httpx.Client) -> None:
    with many(server_url, ATTACKERS) as silent:
        until(lambda: all(map(is_closed, silent)), "closing what says nothing")
    served(client)


def test_connections_that_are_hoarded_are_closed(server_url: str) -> None:
    with many(server_url, 20) as hoarded:
        for connection in hoarded:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        until(lambda: all(map(is_closed, hoarded)), "closing what is idle")


def test_a_body_that_nobody_needs_any_more_may_not_trickle_on(server_url: str) -> None:
    """Its request was answered (401) before it came."""
    with connected(server_url) as connection, trickling([connection]):
        connection.sendall(UNFINISHED.replace(b"Authorization: Bearer TOKEN\r\n", b""))
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")
        until(lambda: is_closed(connection), "closing it")


def test_a_client_that_does_not_read_its_answers_is_cut_off(
    server_url: str, client: httpx.Client
) -> None:
    with connected(server_url, receive=4096) as lazy:
        lazy.sendall((GET + b"Accept: application/fhir+xml\r\n\r\n") * MOST_AHEAD)
        until(lambda: is_closed(lazy), "cutting it off")
        served(client)


def test_a_client_that_reads_slowly_has_its_answer_whole(server_url: str) -> None:
    with connected(server_url, receive=4096) as slow:
        slow.sendall(GET + b"Connection: close\r\n\r\n")
        answer = b""
        while received := slow.recv(2048):
            answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    assert statuses(answer) == [200]


def test_requests_sent_ahead_are_answered_in_their_order(server_url: str) -> None:
    ahead = 20
    with connected(server_url) as eager:
        for number in range(ahead):
            last = b"Connection: close\r\n" if number == ahead - 1 else b""
            path = b"live" if number % 2 else b"nothing"
            eager.sendall(b"GET /health/%b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path, last))
        answered = statuses(whole(eager))
    assert answered == [404, 200] * (ahead // 2)


def test_a_client_that_sends_too_many_requests_ahead_is_cut_off(
    server_url: str, client: httpx.Client
) -> None:
    with connected(server_url) as greedy:
        with suppress(OSError):
            greedy.sendall((GET + b"\r\n") * 100 * MOST_AHEAD)
        assert len(statuses(whole(greedy))) <= MOST_AHEAD + 1
    served(client)


def test_a_head_without_an_end_is_refused(server_url: str, client: httpx.Client) -> None:
    with connected(server_url) as endless:
        with suppress(OSError):
            endless.sendall(GET)
            for _ in range(100):
                endless.sendall(b"X: " + b"x" * LARGEST_HEAD + b"\r\n")
        answer = whole(endless)
        assert statuses(answer) in ([], [431])
        until(lambda: is_closed(endless), "closing it")
    served(client)


def test_idle_connections_make_room_for_one_more(server_url: str, client: httpx.Client) -> None:
    with many(server_url, MOST + 50) as idle:
        served(client)
        until(lambda: sum(map(is_closed, idle)) >= 50, "making room")


def test_where_all_are_at_work_one_more_is_told_to_come_again(
    server_url: str, token: Token, tenant: str
) -> None:
    signed = token(tenant, "usr_service", "SERVICE").encode()
    busy = UNFINISHED.replace(b"TOKEN", signed)
    with many(server_url, MOST) as working, ExitStack() as opened:
        for connection in working:
            connection.sendall(busy)

        def refused() -> bool:
            """Those whose request has not been read yet still make room."""
            late = opened.enter_context(connected(server_url))
            late.settimeout(0.5)
            answer = whole(late)
            return answer.startswith(b"HTTP/1.1 503") and b"retry-after: 1" in answer

        until(refused, "503")
