"""Every v1 route counts: one request a minute is let through here, and the next is 429 before
anything of it is read."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from fhir_server.mapping.route import Route
from fhir_server.settings import Settings
from tests.conftest import Token
from tests.v1.conftest import Ward, refused
from tests.v1.routes import NONE, ROUTES, SCOPES, UPLOADS, Asked, prefixes, user_of

LEAST = 1e-9


@pytest.fixture(scope="module")
def settings_of_tests(settings_of_tests: Settings) -> Settings:
    return settings_of_tests.model_copy(update={"rate_limit_scale": LEAST})


@pytest.mark.parametrize("route", ROUTES.values(), ids=list(ROUTES))
def test_rate_before_body(sign_in: object, tenant: str, route: Route) -> None:
    """The second one is too many under whichever prefix, and whatever it brings."""
    ward = Ward(tenant, sign_in, "")  # type: ignore[arg-type]
    caller = user_of(ward, route).client
    first = Asked(route, NONE).by(caller)
    assert first.status_code != 429
    assert first.headers["X-RateLimit-Limit"] == "1"
    assert first.headers["X-RateLimit-Remaining"] == "0"
    for prefix in prefixes(route):
        asked = Asked(route, NONE, prefix)
        answer = asked.by(caller, params={"unknown": "1"}, content=b"{" * 100_000)
        assert refused(answer) == (429, "RATE_LIMITED")
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert ("Deprecation" in answer.headers) == (prefix != route.prefix)


@pytest.mark.parametrize(
    "route",
    [r for r in ROUTES.values() if r.declared.content in UPLOADS],
    ids=lambda route: route.id,
)
def test_an_upload_that_is_too_many_is_not_read(
    server_url: str, token: Token, tenant: str, route: Route
) -> None:
    """It is refused while most of it is still to come; the connection ends, or goes on in step."""
    headers = {"Authorization": f"Bearer {token(tenant, 'usr_amina', 'DOCTOR', SCOPES)}"}
    with httpx.Client(base_url=server_url, headers=headers) as client:
        assert Asked(route, NONE).by(client).status_code == 404
    where = urlsplit(server_url)
    request = (
        f"{route.method} {Asked(route, NONE).path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
        f"Authorization: {headers['Authorization']}\r\nUpload-Offset: 0\r\n"
        "Content-Length: 25000000\r\n\r\n"
    )
    with socket.create_connection((where.hostname, where.port or 80), timeout=20) as line:
        line.sendall(request.encode() + bytes(1_000))
        answer = line.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 429")
        # What follows is the rest of the body or nothing: it must be no second request.
        line.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        line.settimeout(1)
        try:
            rest = line.recv(65_536)
        except (TimeoutError, ConnectionResetError):
            rest = b""
        assert b"HTTP/1.1 200" not in answer + rest
