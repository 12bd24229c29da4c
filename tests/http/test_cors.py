"""Web pages of declared origins may call the server; no others. https://fetch.spec.whatwg.org"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from fhir_server.settings import Settings
from tests.support.clinic import Clinic, refusal
from tests.support.server import listening

APP, OTHER = "https://app.example.org", "https://evil.example.org"
PATHS = ("/fhir/R4/Patient", "/fhir/R4/metadata", "/v1/communication/threads", "/openapi.json")


@pytest.fixture(scope="module")
def browser(settings_of_tests: Settings) -> Iterator[httpx.Client]:
    """Of a server that lets one origin in."""
    opened = settings_of_tests.model_copy(update={"cors_origins": f"{APP}, https://b.example"})
    with listening(opened) as address, httpx.Client(base_url=address) as client:
        yield client


def preflight(client: httpx.Client, path: str, origin: str, method: str = "GET") -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, if-match, content-type, idempotency-key",
    }
    return client.options(path, headers=headers)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_a_preflight_is_answered(browser: httpx.Client, path: str, method: str) -> None:
    answer = preflight(browser, path, APP, method)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == APP
    assert method in answer.headers["access-control-allow-methods"]
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", PATHS)
def test_another_origin_is_refused(browser: httpx.Client, path: str) -> None:
    for answer in (
        preflight(browser, path, OTHER),
        preflight(browser, path, APP + ".evil.example"),
        browser.get(path, headers={"Origin": OTHER}),
    ):
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", PATHS)
def test_a_page_may_read_the_answer_and_its_headers(browser: httpx.Client, path: str) -> None:
    """Refusals too: a page must be able to tell its user to sign in."""
    answer = browser.get(path, headers={"Origin": APP})
    assert answer.status_code in (200, 401)
    assert answer.headers["access-control-allow-origin"] == APP
    assert "Origin" in answer.headers["vary"]
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    assert {"ETag", "Location", "Last-Modified", "WWW-Authenticate", "Retry-After"} <= exposed
    assert "X-RateLimit-Remaining" in exposed


def test_metadata_says_whether_browsers_may(browser: httpx.Client, client: httpx.Client) -> None:
    for server, open_ in ((browser, True), (client, False)):
        security = server.get("/fhir/R4/metadata").json()["rest"][0]["security"]
        assert security["cors"] is open_


@pytest.mark.parametrize("path", PATHS)
def test_by_default_no_page_may(client: httpx.Client, path: str) -> None:
    for answer in (preflight(client, path, APP), client.get(path, headers={"Origin": APP})):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "origins",
    ["app.example.org", "https://app.example.org/", "https://App.example.org", "null", "ftp://x",
     "https://user@x.example", "https://", "https://a.example https://b.example"],
)  # fmt: skip
def test_what_is_no_origin_is_refused_at_start_up(origins: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="origin"):
        Settings(data_dir=tmp_path, cors_origins=origins)


def test_origins_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_CORS_ORIGINS", f"{APP},http://localhost:3000")
    assert Settings().origins == (APP, "http://localhost:3000")
    monkeypatch.setenv("FHIR_SERVER_CORS_ORIGINS", "*")
    assert Settings().origins == ("*",)


def test_all_origins_may_be_let_in(settings_of_tests: Settings) -> None:
    everyone = settings_of_tests.model_copy(update={"cors_origins": "*"})
    with listening(everyone) as address:
        answer = httpx.get(f"{address}/fhir/R4/metadata", headers={"Origin": OTHER})
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("metadata", "GET, HEAD, OPTIONS"),
        ("_history", "GET, HEAD, OPTIONS"),
        ("Patient/zahra/Communication", "GET, HEAD, OPTIONS"),
        ("Patient/zahra/_history/1", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_tells_the_methods_of_a_path(client: httpx.Client, path: str, methods: str) -> None:
    answer = client.options(f"/fhir/R4/{path}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == methods
    assert {"PUT", "DELETE"} <= set(
        client.options("/fhir/R4/Patient/x").headers["allow"].split(", ")
    )


def test_options_of_nothing_is_404(clinic: Clinic) -> None:
    for path in ("Nothing", "Patient/x/y/z", "Patient/x/_nothing"):
        assert refusal(clinic.service.ask("OPTIONS", path))[0] == 404
