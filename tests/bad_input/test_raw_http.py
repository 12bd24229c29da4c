"""Bytes on the wire that are no HTTP, or HTTP meant to confuse: the server answers or hangs up,
and then goes on serving. https://www.rfc-editor.org/rfc/rfc9112"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from fhir_server.http.wire import Request
from fhir_server.problems import Problem
from tests.bad_input.faces import discreet
from tests.bad_input.world import FHIR, V1, World

pytestmark = pytest.mark.usefixtures("unchanged")

REQUEST = (
    b"POST /v1/communication/threads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\n"
    b"Idempotency-Key: raw\r\nContent-Type: application/json\r\n"
)
BODY = b'{"participantIds": ["usr_farid"], "subject": "x"}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CUT = 10

# A complete write, but for one thing.
WRITES: dict[str, bytes] = {
    "a length that is no number": REQUEST + b"Content-Length: many\r\n\r\n" + BODY,
    "a negative length": REQUEST + b"Content-Length: -1\r\n\r\n" + BODY,
    "a length with a plus": REQUEST + b"Content-Length: +49\r\n\r\n" + BODY,
    "a length of 5,000 digits": REQUEST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + BODY,
    "a length of other digits": REQUEST + b"Content-Length: \xb2\r\n\r\n" + BODY,
    "two lengths": REQUEST + LENGTH + b"Content-Length: 1\r\n\r\n" + BODY,
    "a length and chunks": REQUEST + LENGTH + CHUNKED + b"\r\n" + BODY,
    "an unknown encoding": REQUEST + b"Transfer-Encoding: nonsense\r\n\r\n" + BODY,
    "chunked twice": REQUEST + CHUNKED + CHUNKED + b"\r\n" + BODY,
    "a chunk size that is no number": REQUEST + CHUNKED + b"\r\nzz\r\n" + BODY,
    "a negative chunk size": REQUEST + CHUNKED + b"\r\n-1\r\n" + BODY,
    "a huge chunk size": REQUEST + CHUNKED + b"\r\n" + b"f" * 100 + b"\r\n" + BODY,
    "a chunk without an end": REQUEST + CHUNKED + b"\r\n31\r\n" + BODY + b"xx0\r\n\r\n",
    "chunks cut short": REQUEST + CHUNKED + b"\r\n31\r\n" + BODY[:CUT],
    "a body cut short": REQUEST + LENGTH + b"\r\n" + BODY[:CUT],
    "a body never sent": REQUEST + LENGTH + b"\r\n",
    "headers never ended": REQUEST + LENGTH,
    "a header without a colon": REQUEST + LENGTH + b"Nonsense\r\n\r\n" + BODY,
    "a header with a blank in its name": REQUEST + LENGTH + b"X Y: 1\r\n\r\n" + BODY,
    "a header with NUL": REQUEST + LENGTH + b"X: a\x00b\r\n\r\n" + BODY,
    "a header with a lone line feed and more": REQUEST + LENGTH + b"X: a\rB: c\r\n\r\n" + BODY,
    "a folded header": REQUEST + LENGTH + b"X: a\r\n b\r\n: c\r\n\r\n" + BODY,
    "a header without a name": REQUEST + LENGTH + b": x\r\n\r\n" + BODY,
}
NO_HTTP: dict[str, bytes] = {
    "nothing": b"",
    "NUL": bytes(100),
    "words": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "HTTP/0.9": b"GET /fhir/R4/metadata\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "no method": b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method there is not": b"BREW /fhir/R4/Patient HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in small letters": b"get /fhir/R4/Patient HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank in the path": b"GET /fhir/R4/Pat ient HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the path": b"GET /fhir/R4/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the query": b"GET /fhir/R4/Patient?name=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the path": b"GET /fhir/R4/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an address as path": b"GET http://evil.example/fhir/R4/Patient HTTP/1.1\r\nHost: x\r\n\r\n",
    "a star as path": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path without a slash": b"GET fhir/R4/Patient HTTP/1.1\r\nHost: x\r\n\r\n",
    "steps up": b"GET /fhir/R4/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment": b"GET /fhir/R4/Patient#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long path": b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long header": b"GET /fhir/R4/ HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "many headers": b"GET /fhir/R4/ HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    "no host": b"GET /fhir/R4/metadata HTTP/1.1\r\n\r\n",
    "a strange host": b"GET /fhir/R4/metadata HTTP/1.1\r\nHost: <x>\"'\xff\r\n\r\n",
    "an upgrade": (
        b"GET /fhir/R4/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ),
    "an upgrade to nothing": (
        b"GET /fhir/R4/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: nothing\r\n\r\n"
    ),
    "an expectation": b"POST /fhir/R4/Patient HTTP/1.1\r\nHost: x\r\nExpect: nothing\r\n\r\n",
    "only line ends": b"\r\n" * 10_000,
}


def exchange(world: World, data: bytes, *, wait: float = 0.3) -> bytes:
    """What the server answers until it hangs up or has nothing more to say."""
    parts = urlsplit(world.address)
    answer = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=wait) as connection:
        with suppress(OSError):
            connection.sendall(data)
        with suppress(OSError):
            while received := connection.recv(65536):
                answer += received
    return answer


def alive(world: World) -> None:
    """The server serves others as before."""
    for path in (f"{FHIR}/Patient/zahra", f"{V1}/threads", "/health/ready"):
        assert world.ask("GET", path).status_code == 200


def checked(answer: bytes) -> int | None:
    """The status, where there was an answer; never a success, never a 5xx but 501 and 505."""
    if not answer:
        return None
    discreet(answer.decode("latin-1"))
    head = answer.partition(b"\r\n\r\n")[0]
    assert b"\r\nset-cookie:" not in head.lower()
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("case", WRITES)
def test_a_write_that_is_no_proper_http_is_refused(world: World, case: str) -> None:
    data = WRITES[case].replace(b"TOKEN", world.tokens["doctor"].encode())
    status = checked(exchange(world, data))
    assert status is None or 400 <= status < 500 or status == 501, status
    alive(world)


@pytest.mark.parametrize("case", NO_HTTP)
def test_what_is_no_http_harms_nobody(world: World, case: str) -> None:
    status = checked(exchange(world, NO_HTTP[case]))
    assert status is None or status < 500 or status in (501, 505), status
    alive(world)


INJECTED = ("%0d%0aSet-Cookie:%20x=1", "%0aSet-Cookie:%20x=1", "%0d%0a%0d%0a<script>", "%00")


@pytest.mark.parametrize("injected", INJECTED)
@pytest.mark.parametrize(
    "path",
    [
        "/v1/messaging/threads/X",
        "/v1/digital-communication/threads/X/messages",
        "/fhir/R4/X",
        "/fhir/R4/Patient/X",
        "/fhir/R4/Patient?X=1",
        "/fhir/R4/Patient?name=X",
        "/X",
    ],
)
def test_no_path_or_query_becomes_a_header(world: World, path: str, injected: str) -> None:
    line = path.replace("X", injected).encode()
    request = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %b\r\n\r\n"
    token = world.tokens["doctor"].encode()
    answer = exchange(world, request % (line, token), wait=30)
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert answer.startswith(b"HTTP/1.1 ")
    assert b"\nset-cookie" not in head
    assert b"<script>" not in answer.partition(b"\r\n\r\n")[0]
    assert b" 500 " not in answer[:20]


def test_a_host_never_becomes_a_header_or_a_crash(world: World) -> None:
    token = world.tokens["doctor"].encode()
    for host in (b"", b"\xff", b"a b", b"x:y:z", b"x/../", b"[::1", b"x" * 20_000, b"%0d%0a"):
        request = (
            b"GET /fhir/R4/Patient?_count=0 HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n"
            b"Authorization: Bearer %b\r\n\r\n"
        )
        status = checked(exchange(world, request % (host, token)))
        assert status is None or status < 500
    alive(world)


def test_a_slow_body_that_is_cut_off_stores_nothing(world: World) -> None:
    parts = urlsplit(world.address)
    head = REQUEST.replace(b"TOKEN", world.tokens["doctor"].encode()) + LENGTH + b"\r\n"
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(head)
        for at in range(0, len(BODY) - 1, 8):
            connection.sendall(BODY[at : at + 8][: len(BODY) - 1 - at])
            time.sleep(0.01)
        alive(world)
    alive(world)


def test_many_open_connections_that_say_nothing_keep_nobody_out(world: World) -> None:
    parts = urlsplit(world.address)
    opened = [socket.create_connection((parts.hostname, parts.port)) for _ in range(200)]
    try:
        for connection in opened[::2]:
            connection.sendall(b"GET /fhir/R4/Patient HTTP/1.1\r\nHost: x\r\n")
        alive(world)
    finally:
        for connection in opened:
            connection.close()
    alive(world)


def test_a_second_request_hidden_in_a_body_is_not_answered_as_another_caller(
    world: World,
) -> None:
    hidden = b"GET /fhir/R4/Patient/zahra HTTP/1.1\r\nHost: x\r\n\r\n"
    data = (
        b"POST /v1/communication/threads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 4\r\n\r\n0\r\n\r\n" + hidden
    )
    answer = exchange(world, data)
    discreet(answer.decode("latin-1"))
    assert b'"resourceType":"Patient"' not in answer


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def trickle() -> dict[str, object]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    scope = {"type": "http", "method": "POST", "headers": []}
    request = Request(scope, trickle, limit=1_000_000, patience=0.1)
    with pytest.raises(Problem, match="in time") as refusal:
        await request.body()
    assert (refusal.value.status, refusal.value.headers) == (408, {"connection": "close"})
