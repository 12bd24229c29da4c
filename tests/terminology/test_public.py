"""What needs no token: /metadata in its modes, and where to sign in."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from fhir_server.http.auth.discovery import DiscoveryError
from fhir_server.http.fhir.smart import SmartConfiguration
from fhir_server.problems import Problem
from fhir_server.settings import Settings
from tests.auth.issuer import AUDIENCE, Issuer, serving
from tests.support.clinic import refusal
from tests.support.server import listening

WELL_KNOWN = "/fhir/R4/.well-known/smart-configuration"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with serving() as issuer:
        yield issuer


def trusting(settings: Settings, issuer: Issuer) -> Settings:
    set_ = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_timeout": 1.0}
    return settings.model_copy(update=set_)


def test_metadata_in_its_modes(client: httpx.Client) -> None:
    kinds = {
        mode: client.get("/fhir/R4/metadata", params=mode and {"mode": mode}).json()["resourceType"]
        for mode in ("", "full", "normative", "terminology")
    }
    assert kinds.pop("terminology") == "TerminologyCapabilities"
    assert set(kinds.values()) == {"CapabilityStatement"}
    assert refusal(client.get("/fhir/R4/metadata?mode=zzz")) == (400, "value")
    assert refusal(client.get("/fhir/R4/metadata?mode=terminology&_format=ttl"))[0] == 406


def test_terminology_capabilities_say_what_is_known(client: httpx.Client) -> None:
    statement = client.get("/fhir/R4/metadata?mode=terminology").json()
    systems = {system["uri"] for system in statement["codeSystem"]}
    assert {
        "https://fhir.ghasi.af/CodeSystem/urgency",
        "http://hl7.org/fhir/event-status",
    } <= systems
    assert "http://snomed.info/sct" not in systems
    assert statement["implementation"]["url"].endswith("/fhir/R4")


def test_only_reading_is_public(client: httpx.Client) -> None:
    for path in ("/fhir/R4/metadata", WELL_KNOWN):
        assert refusal(client.post(path))[0] == 401


def test_without_an_issuer_there_is_nothing_to_sign_in_with(client: httpx.Client) -> None:
    assert refusal(client.get(WELL_KNOWN)) == (404, "not-found")


def test_where_to_sign_in(settings_of_tests: Settings, issuer: Issuer) -> None:
    issuer.reset()
    with listening(trusting(settings_of_tests, issuer)) as address:
        answer = httpx.get(address + WELL_KNOWN)
        issuer.mode = "down"
        assert httpx.get(address + WELL_KNOWN).json() == answer.json()
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["issuer"] == issuer.url
    assert told["token_endpoint"] == f"{issuer.url}/protocol/openid-connect/token"
    assert {"permission-user", "permission-v2", "sso-openid-connect"} <= set(told["capabilities"])


def test_an_issuer_that_is_down_is_503(settings_of_tests: Settings, issuer: Issuer) -> None:
    issuer.mode = "down"
    with listening(trusting(settings_of_tests, issuer)) as address:
        answer = httpx.get(address + WELL_KNOWN)
        assert refusal(answer) == (503, "transient")
        issuer.reset()
        assert httpx.get(address + WELL_KNOWN).status_code == 200


async def test_it_is_asked_again_after_its_time() -> None:
    now, asked = [0.0], 0

    async def discover() -> dict[str, str]:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise DiscoveryError("down")
        return {"issuer": f"i{asked}"}

    smart = SmartConfiguration(discover, 60, lambda: now[0])
    bodies = []
    for now[0] in (0, 59, 61, 65, 72):
        bodies.append((await smart.reply()).body[:14])
    assert bodies == [b'{"issuer":"i1"'] * 4 + [b'{"issuer":"i3"']


async def test_nothing_is_known_until_it_has_answered() -> None:
    async def discover() -> dict[str, str]:
        raise DiscoveryError("down")

    with pytest.raises(Problem) as caught:
        await SmartConfiguration(discover, 60).reply()
    assert caught.value.status == 503
