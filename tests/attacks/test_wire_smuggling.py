"""One request that two readers see as two: the server sees one of them and hangs up, or none.

https://www.rfc-editor.org/rfc/rfc9112#section-11.2, https://portswigger.net/web-security/request-smuggling
"""

from __future__ import annotations

import httpx
import pytest

from tests.attacks.raw import exchanged, statuses
from tests.conftest import NewClinic
from tests.support.clinic import Clinic

HIDDEN = (
    b"GET /fhir/R4/Patient/zahra HTTP/1.1\r\nHost: x\r\nAuthorization: AUTH\r\n"
    b"Connection: close\r\n\r\n"
)
HEAD = b"POST /fhir/R4/Communication/_search HTTP/1.1\r\nHost: x\r\n"
TYPE = b"Content-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
NOTHING = b"0\r\n\r\n"


def chunked(line: bytes, rest: bytes = NOTHING) -> bytes:
    """A head that says chunked in its own way, a length that says otherwise, and a chunked body."""
    return HEAD + TYPE + line + b"Content-Length: 4\r\n\r\n" + rest


AMBIGUOUS: dict[str, bytes] = {
    "a length and chunks": chunked(CHUNKED),
    "chunks, and no length": HEAD + TYPE + CHUNKED + b"Content-Length: 0\r\n\r\n" + NOTHING,
    "a length, then chunks": HEAD + TYPE + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n" + NOTHING,
    "chunked in capitals": chunked(b"TRANSFER-ENCODING: CHUNKED\r\n"),
    "chunked with a blank before the colon": chunked(b"Transfer-Encoding : chunked\r\n"),
    "chunked with a tab before the colon": chunked(b"Transfer-Encoding\t: chunked\r\n"),
    "chunked behind a vertical tab": chunked(b"Transfer-Encoding: \x0bchunked\r\n"),
    "chunked behind NUL": chunked(b"Transfer-Encoding: \0chunked\r\n"),
    "chunked in quotes": chunked(b'Transfer-Encoding: "chunked"\r\n'),
    "chunked and something": chunked(b"Transfer-Encoding: chunked, x\r\n"),
    "something and chunked": chunked(b"Transfer-Encoding: x, chunked\r\n"),
    "chunked and identity": chunked(b"Transfer-Encoding: chunked, identity\r\n"),
    "gzip, chunked": chunked(b"Transfer-Encoding: gzip, chunked\r\n"),
    "xchunked": chunked(b"Transfer-Encoding: xchunked\r\n"),
    "chunked twice": chunked(CHUNKED + CHUNKED),
    "chunked, then identity": chunked(CHUNKED + b"Transfer-Encoding: identity\r\n"),
    "chunked on a folded line": chunked(b"Transfer-Encoding:\r\n chunked\r\n"),
    "chunked behind a fold": chunked(b"X: a\r\n Transfer-Encoding: chunked\r\n"),
    "chunked behind a lone line feed": chunked(b"X: a\nTransfer-Encoding: chunked\r\n"),
    "chunked behind a lone return": chunked(b"X: a\rTransfer-Encoding: chunked\r\n"),
    "chunked in HTTP/1.0": chunked(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "two lengths": HEAD + TYPE + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + NOTHING,
    "one length twice": HEAD + TYPE + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n" + NOTHING,
    "two lengths on one line": HEAD + TYPE + b"Content-Length: 0, 5\r\n\r\n" + NOTHING,
    "a length with a plus": HEAD + TYPE + b"Content-Length: +5\r\n\r\n" + NOTHING,
    "a length in hexadecimal": HEAD + TYPE + b"Content-Length: 0x5\r\n\r\n" + NOTHING,
    "a length with a blank within": HEAD + TYPE + b"Content-Length: 1 5\r\n\r\n" + NOTHING,
    "a length with NUL": HEAD + TYPE + b"Content-Length: 5\0\r\n\r\n" + NOTHING,
    "a length too large": HEAD + TYPE + b"Content-Length: 18446744073709551621\r\n\r\n" + NOTHING,
    "a length with a blank before the colon": HEAD + TYPE + b"Content-Length : 5\r\n\r\n" + NOTHING,
    "a negative length": HEAD + TYPE + b"Content-Length: -5\r\n\r\n" + NOTHING,
    "a chunk size in 0x": HEAD + TYPE + CHUNKED + b"\r\n0x0\r\n\r\n",
    "a chunk size with a plus": HEAD + TYPE + CHUNKED + b"\r\n+0\r\n\r\n",
    "a chunk size that overflows": HEAD + TYPE + CHUNKED + b"\r\n10000000000000000\r\n\r\n",
    "a negative chunk size": HEAD + TYPE + CHUNKED + b"\r\n-0\r\n\r\n",
    "a chunk size with a blank before": HEAD + TYPE + CHUNKED + b"\r\n 0\r\n\r\n",
    "a chunk size ended by a line feed": HEAD + TYPE + CHUNKED + b"\r\n0\n\r\n",
    "a chunk longer than it says": HEAD + TYPE + CHUNKED + b"\r\n1\r\nab\r\n" + NOTHING,
    "a chunk extension with a line feed": HEAD + TYPE + CHUNKED + b"\r\n0;a\nb\r\n\r\n",
    "a header that begins with a blank": HEAD + b" X: y\r\n" + TYPE + CHUNKED + b"\r\n" + NOTHING,
    "a first header that is folded": b"GET /health/live HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n",
    "a name with a line feed": HEAD + b"X\nY: z\r\n" + TYPE + CHUNKED + b"\r\n" + NOTHING,
    "two hosts on a line": b"GET /health/live HTTP/1.1\r\nHost: x\r\n\tHost: y\r\n\r\n",
    "a request line of three words more": b"GET /health/live HTTP/1.1 x\r\nHost: x\r\n\r\n",
    "a version that is none": b"GET /health/live HTTP/1.1x\r\nHost: x\r\n\r\n",
    "lone returns": b"GET /health/live HTTP/1.1\rHost: x\r\r",
}  # fmt: skip


@pytest.fixture(scope="module")
def clinic(new_clinic: NewClinic) -> Clinic:
    return new_clinic()


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_is_hidden_behind_an_ambiguous_request_is_not_answered(
    server_url: str, clinic: Clinic, case: str
) -> None:
    hidden = HIDDEN.replace(b"AUTH", clinic.service.authorization.encode())
    answer = exchanged(server_url, AMBIGUOUS[case] + hidden, wait=2)
    assert b'"Patient"' not in answer
    assert statuses(answer) in ([], [400]), answer[:200]


def test_two_requests_that_are_two_are_answered_as_two(server_url: str, clinic: Clinic) -> None:
    """So the tests above would notice."""
    hidden = HIDDEN.replace(b"AUTH", clinic.service.authorization.encode())
    answer = exchanged(server_url, HEAD + TYPE + CHUNKED + b"\r\n" + NOTHING + hidden)
    assert statuses(answer) == [401, 200]
    answer = exchanged(server_url, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" + hidden)
    assert statuses(answer) == [200, 200]
    assert b'"Patient"' in answer


def test_a_body_of_a_get_is_not_the_next_request(server_url: str, clinic: Clinic) -> None:
    hidden = HIDDEN.replace(b"AUTH", clinic.service.authorization.encode())
    head = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(hidden)
    assert statuses(exchanged(server_url, head + hidden)) == [200]


def test_a_request_that_hides_behind_a_closed_one_is_not_carried_out(
    server_url: str, clinic: Clinic, client: httpx.Client
) -> None:
    """`Connection: close` is the end, whatever else comes."""
    body = b'{"resourceType":"Basic","code":{"text":"hidden"}}'
    hidden = (
        b"POST /fhir/R4/Basic HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n"
        b"Content-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n%b"
        % (clinic.service.authorization.encode(), len(body), body)
    )
    close = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert statuses(exchanged(server_url, close + hidden)) == [200]
    assert clinic.service.ids("Basic") == set()
    assert client.get("/health/live").status_code == 200
