"""Tokens made to confuse whoever reads them: each is a 401, at the authenticator and at both faces.

The plainer forgeries are in tests/auth/test_forged.py; here is what confuses libraries.
https://www.rfc-editor.org/rfc/rfc8725, https://datatracker.ietf.org/doc/html/rfc7515
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from fhir_server.http.auth import Authenticator, AuthSettings, mint
from fhir_server.http.auth.claims import identity
from fhir_server.http.auth.discovery import signing_keys
from fhir_server.problems import Problem
from fhir_server.settings import Settings
from tests.attacks.forged import FORGED
from tests.auth.issuer import AUDIENCE, Issuer, serving
from tests.bad_input.faces import refused
from tests.support.server import listening


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with serving() as issuer:
        yield issuer


@pytest.fixture
async def authenticator(issuer: Issuer, tmp_path: Path) -> AsyncIterator[Authenticator]:
    made = Authenticator(
        AuthSettings(data_dir=tmp_path, oidc_issuer=issuer.url, oidc_audience=AUDIENCE)
    )
    yield made
    await made.aclose()


TENANTS: tuple[object, ...] = (
    0, 1, True, [], ["demo"], {}, {"id": "demo"}, "", " ", " demo", "demo ", "demo\0", "demo\n",
    "demo/x", "demo,other", "*", "%", "_", "demo%", "ｄｅｍｏ", "dеmo", "demo\u200b", "demo\u202e",
    "\u0000", "é", "../demo", "demo'; --", "-demo", "a" * 65, "de mo",
)  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
async def test_a_confusing_token_is_refused(
    case: str, issuer: Issuer, authenticator: Authenticator
) -> None:
    token = FORGED[case](issuer)
    for header in (f"Bearer {token}", f"Bearer  {token} "):
        with pytest.raises(Problem) as refusal:
            await authenticator.context(header, "fhir")
        assert refusal.value.status == 401
        challenge = refusal.value.headers["WWW-Authenticate"]
        assert challenge.isascii()
        assert challenge.isprintable()


@pytest.mark.parametrize("tenant", TENANTS, ids=ascii)
async def test_a_tenant_that_is_none_is_refused(
    tenant: object, issuer: Issuer, authenticator: Authenticator
) -> None:
    for more in ({}, {"tenant": "demo"}, {"tenant_id": "demo"}):
        with pytest.raises(Problem) as refusal:
            await authenticator.context(issuer.bearer(tid=tenant, **more), "v1")
        assert refusal.value.status == 401


async def test_only_the_claim_itself_names_the_tenant(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    """A name in another case is another tenant's."""
    for tenant in ("demo", "Demo", "DEMO"):
        found = await authenticator.context(
            issuer.bearer(tid=tenant, Tid="x", TID="y", tenant="z"), "v1"
        )
        assert found.tenant == tenant


async def test_good_tokens_are_still_taken(issuer: Issuer, authenticator: Authenticator) -> None:
    for header in ({}, {"typ": "at+jwt"}, {"cty": "x"}):
        token = issuer.token(header)
        assert (await authenticator.context(f"Bearer {token}", "v1")).tenant == "demo"


async def test_no_forgery_makes_the_server_fetch_anything_but_its_issuers_keys(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    issuer.requests.clear()
    here = issuer.url.replace("/realms/clinic", "")
    for name in ("jku", "x5u", "kid"):
        with pytest.raises(Problem):
            await authenticator.context("Bearer " + issuer.token({name: f"{here}/stolen"}), "fhir")
    assert {path.rpartition("/")[2] for path in issuer.requests} <= {
        "openid-configuration",
        "certs",
    }


def test_a_key_set_gives_no_key_of_another_use() -> None:
    rsa, ec = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
    public = rsa.as_dict(private=False) | {"kid": "a"}
    curve = ec.as_dict(private=False) | {"kid": "a"}
    for jwk in (
        public | {"use": "enc"},
        public | {"alg": "RSA-OAEP"},
        public | {"alg": "HS256"},
        public | {"alg": "none"},
        public | {"kid": None},
        public | {"kid": 7},
        public | {"n": "AQAB"},
        public | {"kty": "oct", "k": "AAAA"},
        {"kty": "oct", "k": "AAAA", "kid": "a", "alg": "RS256"},
        curve | {"crv": "P-384"},
        curve | {"use": "enc"},
        curve | {"x": "AAAA"},
        curve | {"alg": "ECDH-ES"},
    ):
        assert signing_keys({"keys": [jwk]}) == {}


def test_the_first_of_two_keys_with_one_id_counts() -> None:
    """Whoever can add to a key set cannot take over a key id."""
    first, second = (RSAKey.generate_key(2048) for _ in range(2))
    listed = [key.as_dict(private=False) | {"kid": "a"} for key in (first, second)]
    assert signing_keys({"keys": listed})["a"].thumbprint() == first.thumbprint()


def test_claims_of_another_client_grant_no_role() -> None:
    access = {"evil": {"roles": ["ADMIN"]}, "fhir-server ": {"roles": ["ADMIN"]}}
    found = identity({"tid": "demo", "sub": "a", "resource_access": access}, "fhir-server")
    assert found.roles == frozenset()


async def test_the_development_key_is_nothing_in_production(tmp_path: Path) -> None:
    token = mint(AuthSettings(data_dir=tmp_path), tenant="demo", sub="usr_amina", roles=["ADMIN"])
    strict = AuthSettings(
        data_dir=tmp_path,
        environment="production",
        oidc_issuer="https://idp.example/realms/clinic",
        oidc_audience=AUDIENCE,
    )
    authenticator = Authenticator(strict)
    with pytest.raises(Problem) as refusal:
        await authenticator.context(f"Bearer {token}", "fhir")
    assert refusal.value.status == 401
    await authenticator.aclose()


@pytest.fixture(scope="module")
def server_url(settings_of_tests: Settings, issuer: Issuer) -> Iterator[str]:
    """A server that trusts the issuer."""
    trusting = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE}
    with listening(settings_of_tests.model_copy(update=trusting)) as address:
        yield address


ASKED = (("GET", "/fhir/R4/Patient"), ("POST", "/fhir/R4"), ("GET", "/v1/communication/threads"))


def test_both_faces_refuse_every_one_of_them(client: httpx.Client, issuer: Issuer) -> None:
    good = {"authorization": issuer.bearer(modules=["engage.messaging"])}
    assert client.get("/fhir/R4/Communication", headers=good).status_code == 200
    for case, forge in FORGED.items():
        # No client can send that in a header.
        if case == "a line end within":
            continue
        token = forge(issuer)
        for method, path in ASKED:
            answer = client.request(method, path, headers={"authorization": f"Bearer {token}"})
            refused(answer, 401)


def test_of_two_authorisations_neither_opens_more_than_it_says(
    client: httpx.Client, issuer: Issuer
) -> None:
    good, bad = issuer.bearer(), "Bearer x.y.z"
    for pair in ((bad, good), (good, bad)):
        headers = [("authorization", one) for one in pair]
        answer = client.get("/fhir/R4/Communication", headers=headers)
        assert answer.status_code in (200, 401)
    headers = [("authorization", f"{good}, {bad}")]
    refused(client.get("/fhir/R4/Communication", headers=headers), 401)


def test_an_expired_token_that_was_remembered_is_refused(
    client: httpx.Client, issuer: Issuer
) -> None:
    """Proven once, it still ends when it says; leeway included."""
    soon = int(time.time()) - 28
    header = {"authorization": issuer.bearer(exp=soon)}
    assert client.get("/fhir/R4/Communication", headers=header).status_code == 200
    deadline = time.monotonic() + 30
    while client.get("/fhir/R4/Communication", headers=header).status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.1)
