"""Text of a client that might end a header of ours and begin another: nothing of it does.

https://owasp.org/www-community/attacks/HTTP_Response_Splitting
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from email.message import Message
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.http.auth.refusal import CHALLENGE
from fhir_server.http.v1.content import disposition
from fhir_server.http.v1.ranges import asked_span
from fhir_server.http.wire import Request
from fhir_server.problems import Problem
from fhir_server.settings import Settings
from tests.attacks.raw import exchanged
from tests.conftest import NewClinic
from tests.support.clinic import Clinic, thread
from tests.support.server import listening

BROKEN = (
    "\r\nX-Injected: 1", "\nX-Injected: 1", "\rX-Injected: 1", "\r\n\r\n<script>", "\0", "\x0b",
    "\x7f", "\x85X-Injected: 1", "\u2028X-Injected: 1", "\u560d\u560aX-Injected: 1", '"; x="y',
    "é", "ـ", "😀",
)  # fmt: skip
ORIGIN = "https://app.example.org"


@pytest.fixture(scope="module")
def server_url(settings_of_tests: Settings) -> Iterator[str]:
    """A server that web pages of one origin may call."""
    with listening(settings_of_tests.model_copy(update={"cors_origins": ORIGIN})) as address:
        yield address


@pytest.fixture(scope="module")
def clinic(new_clinic: NewClinic) -> Clinic:
    return new_clinic()


def proper(answer: httpx.Response) -> None:
    """Headers of ours only, all printable; no server error."""
    assert answer.status_code < 500, answer.text
    for name, value in answer.headers.multi_items():
        assert "injected" not in name.lower()
        assert value.isprintable()
        assert value.isascii()
    assert "<script>" not in str(answer.headers)


PLACES = (
    "/fhir/R4/Patient/{}", "/fhir/R4/{}", "/fhir/R4/Patient/zahra/_history/{}", "/{}",
    "/fhir/R4/Patient?_sort={}", "/fhir/R4/Patient?{}=1", "/fhir/R4/Patient?_format={}",
    "/v1/communication/threads/{}", "/v1/messaging/threads/{}", "/v1/messaging/threads?cursor={}",
    "/v1/digital-communication/threads/{}/messages", "/v1/communication/threads?limit={}",
    "/fhir/R4/Patient/zahra/${}", "/fhir/R4/Patient/zahra/{}", "/openapi.json?{}",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_path_or_query_that_comes_back_in_a_header_cannot_end_it(
    clinic: Clinic, place: str
) -> None:
    for text in BROKEN:
        for method in ("GET", "OPTIONS", "DELETE") if "?" not in place else ("GET",):
            proper(clinic.amina.ask(method, place.format(quote(text, safe=""))))


HEADERS = (
    *(
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-none-exist",
        "prefer",
        "accept",
        "range",
    ),
    *(
        "idempotency-key",
        "x-client-mutation-id",
        "accept-language",
        "origin",
        "host",
        "x-request-id",
    ),
    *("access-control-request-headers", "access-control-request-method", "authorization"),
    *("content-type", "upload-offset", "content-encoding", "x-forwarded-host", "x-forwarded-proto"),
)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_comes_back_cannot_end_another(
    clinic: Clinic, client: httpx.Client, name: str
) -> None:
    amina = clinic.amina
    for text in (
        b"a\tX-Injected: 1",
        b'"; x="y',
        b"\xe9\xff\x80",
        b'W/"1\\r\\n"',
        b"%0d%0aX-Injected: 1",
    ):
        for method, path in (
            ("GET", "/fhir/R4/Patient/zahra"),
            ("POST", "/v1/communication/threads"),
            ("OPTIONS", "/fhir/R4/Patient"),
        ):
            headers = {b"authorization": amina.authorization.encode(), name.encode(): text}
            proper(client.request(method, path, headers=headers))


@pytest.mark.parametrize("text", BROKEN[:7])
def test_a_header_with_a_line_end_is_no_header(server_url: str, text: str) -> None:
    for name in ("Host", "Idempotency-Key", "Origin", "X-Request-Id"):
        answer = exchanged(
            server_url,
            b"GET /fhir/R4/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"%b: a%b\r\n\r\n" % (name.encode(), text.encode()),
        )
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert b"x-injected" not in head
        assert b"<script>" not in head
        assert b" 500 " not in head[:20]


def test_an_origin_is_answered_only_where_it_is_the_declared_one(client: httpx.Client) -> None:
    for origin in (
        f"{ORIGIN}.evil.example",
        f"{ORIGIN},x",
        "null",
        "*",
        f"{ORIGIN}/",
        ORIGIN.upper(),
    ):
        answer = client.get("/fhir/R4/metadata", headers={"origin": origin})
        assert "access-control-allow-origin" not in answer.headers
    good = client.get("/fhir/R4/metadata", headers={"origin": ORIGIN})
    assert good.headers["access-control-allow-origin"] == ORIGIN


def test_a_host_comes_back_in_links_only_where_no_address_is_set(
    settings_of_tests: Settings, clinic: Clinic
) -> None:
    told = settings_of_tests.model_copy(update={"public_url": "https://fhir.example.org"})
    with listening(told) as address, httpx.Client(base_url=address) as client:
        for host in (
            "evil.example",
            "x y",
            'x"><script>',
            "x%0d%0a",
            "fhir.example.org@evil.example",
        ):
            headers = {"host": host, "authorization": clinic.service.authorization}
            page = client.get("/fhir/R4/Patient?_count=1", headers=headers)
            headers["content-type"] = "application/fhir+json"
            body = {"resourceType": "Basic", "code": {"text": "x"}}
            made = client.post("/fhir/R4/Basic", json=body, headers=headers)
            proper(page)
            proper(made)
            assert made.headers["location"].startswith("https://fhir.example.org/fhir/R4/Basic/")
            assert "evil" not in page.text
            assert "<script>" not in page.text


NAMES = st.text(st.characters(codec="utf-8"), max_size=60)


@given(NAMES | st.sampled_from(BROKEN).map(lambda text: f"a{text}.pdf"))
def test_a_file_name_is_one_parameter_and_reads_back(name: str) -> None:
    """https://www.rfc-editor.org/rfc/rfc8187"""
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["content-disposition"] = header
    assert message.get_content_disposition() == "attachment"
    assert {key for key, _ in message.get_params([], "content-disposition", unquote=True)} <= {
        "attachment",
        "filename",
    }
    plain, extended = re.fullmatch(
        r'attachment; filename="([^"\\]*)"; filename\*=UTF-8\'\'(\S*)', header
    ).groups()  # type: ignore[union-attr]  # it must match
    assert unquote(extended) == name
    assert re.fullmatch(r"[A-Za-z0-9 ._()-]*", plain)


@given(
    st.text(st.characters(codec="latin-1"), max_size=40)
    | st.text("0123456789-,", max_size=30).map("bytes={}".format)
)
def test_a_range_is_one_span_or_none(text: str) -> None:
    etag = f'"{hashlib.sha256(b"").hexdigest()}"'
    scope = {"type": "http", "method": "GET", "headers": [(b"range", text.encode("latin-1"))]}
    request = Request(scope, None, limit=0)  # type: ignore[arg-type]  # no body is read
    refusal = None
    try:
        span = asked_span(request, 100, etag)
    except Problem as problem:
        refusal, span = problem, None
    assert span is None or 0 <= span.start < span.stop <= 100
    if refusal is not None:
        assert refusal.status == 416
        assert all(value.isprintable() for value in refusal.headers.values())


def test_a_challenge_repeats_nothing_of_a_token(client: httpx.Client) -> None:
    for text in ('x", error="y', "a.b.c", "\\", "x\tX-Injected: 1"):
        answer = client.get("/fhir/R4/Patient", headers={"authorization": f"Bearer {text}"})
        proper(answer)
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith(CHALLENGE)
        assert text not in challenge


def test_a_replayed_answer_has_the_headers_of_the_first(clinic: Clinic) -> None:
    for key in ("k1", "x:%0d%0a", "!~"):
        body = {"participantIds": ["usr_farid"], "subject": "x"}
        first, again = (
            clinic.amina.v1("POST", "threads", body, idempotency_key=key) for _ in range(2)
        )
        proper(first)
        proper(again)
        assert again.headers["idempotency-replayed"] == "true"
        assert key not in str(again.headers)


def test_a_stored_text_comes_back_in_no_header(clinic: Clinic) -> None:
    for text in BROKEN:
        answer = clinic.amina.post(thread("Practitioner/farid", topic={"text": f"a{text}"}))
        proper(answer)
        if answer.status_code == 201:
            proper(clinic.amina.get(f"Communication/{answer.json()['id']}"))
