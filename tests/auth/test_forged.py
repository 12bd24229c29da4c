"""Every known way to forge or misuse a token ends in a 401 that says why, and nothing more."""

import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey

from fhir_server.http.auth import Authenticator, AuthSettings, mint
from fhir_server.http.auth.devkey import ISSUER as DEVELOPMENT
from fhir_server.problems import Problem
from tests.auth.issuer import Issuer, b64
from tests.support.effort import effort


def unsigned(issuer: Issuer, algorithm: str) -> str:
    return f"{b64({'alg': algorithm, 'kid': issuer.rsa.kid})}.{b64(issuer.claims())}."


def hs256_with_public_key(issuer: Issuer) -> str:
    # By hand: joserfc will not even make such a token.
    secret = issuer.rsa.as_pem(private=False)
    signed = f"{b64({'alg': 'HS256', 'kid': issuer.rsa.kid})}.{b64(issuer.claims())}"
    return f"{signed}.{b64(hmac.digest(secret, signed.encode(), 'sha256'))}"


def deep_header(issuer: Issuer) -> bytes:
    nested = "[" * 120 + "]" * 120
    return f'{{"alg":"RS256","kid":"{issuer.rsa.kid}","x":{nested}}}'.encode()


def embedded(name: str, value: object) -> Callable[[Issuer], str]:
    def forge(issuer: Issuer) -> str:
        mine = RSAKey.generate_key(2048)
        found = mine.as_dict(private=False) if value == "jwk" else value
        return issuer.token({"kid": issuer.rsa.kid, name: found}, mine)

    return forge


def with_kid(kid: object) -> Callable[[Issuer], str]:
    def forge(issuer: Issuer) -> str:
        header, payload, signature = issuer.token().split(".")
        header = b64({"alg": "RS256", "kid": kid})
        return f"{header}.{payload}.{signature}"

    return forge


def altered_claims(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{b64(issuer.claims(tid='demo-north'))}.{signature}"


def claims(**changes: Any) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.token(**changes)


FORGED: dict[str, Callable[[Issuer], str]] = {
    "alg none": lambda i: unsigned(i, "none"),
    "alg None": lambda i: unsigned(i, "None"),
    "alg nOnE with a signature": lambda i: unsigned(i, "nOnE") + "AAAA",
    "no alg": lambda i: f"{b64({'kid': i.rsa.kid})}.{b64(i.claims())}.AAAA",
    "alg a list": lambda i: f"{b64({'alg': ['RS256'], 'kid': 'x'})}.{b64(i.claims())}.AAAA",
    "HS256 with the public key as secret": hs256_with_public_key,
    "RS512": lambda i: i.token({"alg": "RS512"}),
    "PS256": lambda i: i.token({"alg": "PS256"}),
    "ES384": lambda i: i.token({"alg": "ES384", "kid": "x"}, ECKey.generate_key("P-384")),
    "own key, known kid": lambda i: i.token({"kid": i.rsa.kid}, RSAKey.generate_key(2048)),
    "own EC key, kid of the RSA key": lambda i: i.token(
        {"kid": i.rsa.kid}, ECKey.generate_key("P-256")
    ),
    "own EC key, known kid": lambda i: i.token({"kid": i.ec.kid}, ECKey.generate_key("P-256")),
    "unknown kid": lambda i: i.token({"kid": "nobody"}),
    "encryption key": lambda i: i.token({}, i.encryption),
    "embedded jwk": embedded("jwk", "jwk"),
    "jku": embedded("jku", "http://127.0.0.1:1/keys"),
    "x5u": embedded("x5u", "http://127.0.0.1:1/cert"),
    "x5c": embedded("x5c", ["MIIB"]),
    "crit": embedded("crit", ["exp"]),
    "b64 false": embedded("b64", False),
    "kid a path": with_kid("../../../../dev/null"),
    "kid an SQL text": with_kid("x' UNION SELECT 'key"),
    "kid an address": with_kid("http://127.0.0.1:1/keys"),
    "kid empty": with_kid(""),
    "kid null": with_kid(None),
    "kid a number": with_kid(1),
    "kid an object": with_kid({"a": 1}),
    "kid endless": with_kid("k" * 5000),
    "typ dpop": lambda i: i.token({"typ": "dpop+jwt"}),
    "typ a number": lambda i: i.token({"typ": 7}),
    "claims changed after signing": altered_claims,
    "signature cut": lambda i: i.token()[:-20],
    "signature of another token": lambda i: (
        i.token(sub="usr_a").rpartition(".")[0] + "." + i.token().rpartition(".")[2]
    ),
    "ES256 signature all zero": lambda i: (
        i.token({}, i.ec).rpartition(".")[0] + "." + b64(bytes(64))
    ),
    "empty signature": lambda i: i.token().rpartition(".")[0] + ".",
    "five parts": lambda i: f"{i.token()}.b.c",
    "header not JSON": lambda i: f"{b64(b'{')}.{b64(i.claims())}.AAAA",
    "header a list": lambda i: f"{b64([])}.{b64(i.claims())}.AAAA",
    "claims a list": lambda i: f"{b64({'alg': 'RS256', 'kid': i.rsa.kid})}.{b64([])}.AAAA",
    "claims 5,000 deep": lambda i: (
        f"{b64({'alg': 'RS256', 'kid': i.rsa.kid})}.{b64(b'[' * 5000 + b']' * 5000)}.AAAA"
    ),
    "header 120 deep": lambda i: f"{b64(deep_header(i))}.{b64(i.claims())}.AAAA",
    "not UTF-8": lambda i: f"{b64(bytes([0xFF]))}.{b64(i.claims())}.AAAA",
    "huge": lambda i: i.token(note="x" * 40_000),
    "expired": claims(exp=1_000_000_000),
    "no exp": claims(exp=None),
    "exp a text": claims(exp="2099-01-01"),
    "exp true": claims(exp=True),
    "not yet valid": claims(nbf=4_000_000_000),
    "nbf a text": claims(nbf="now"),
    "nbf true": claims(nbf=True),
    "issued in the future": claims(iat=4_000_000_000),
    "another issuer": claims(iss="https://evil.example/realms/clinic"),
    "the issuer with a slash": lambda i: i.token(iss=i.url + "/"),
    "no issuer": claims(iss=None),
    "issuer a list": lambda i: i.token(iss=[i.url]),
    "the development issuer, our issuer's key": claims(iss=DEVELOPMENT),
    "another audience": claims(aud="account"),
    "another audience in a list": claims(aud=["account", "fhir-server-admin"]),
    "a part of the audience": claims(aud="fhir"),
    "no audience": claims(aud=None),
    "audience an object": claims(aud={"fhir-server": True}),
    "an ID token": claims(typ="ID"),
    "a refresh token": claims(typ="Refresh"),
    "no tenant": claims(tid=None),
    "tenant empty": claims(tid=""),
    "tenant a list": claims(tid=["demo"]),
    "tenant with a quote": claims(tid="demo' OR 1=1"),
    "tenant with a newline": claims(tid="demo\n"),
    "tenant too long": claims(tid="a" * 65),
    "tenant with a dot first": claims(tid=".demo"),
    "no subject": claims(sub=None),
    "subject empty": claims(sub=""),
    "subject a number": claims(sub=7),
    "subject no FHIR id": claims(sub="usr_a_b"),
    "subject a path": claims(sub="usr_../Patient/zahra"),
    "roles a text": claims(roles="ADMIN"),
    "roles of numbers": claims(roles=[1]),
    "realm_access a list": claims(realm_access=["ADMIN"]),
    "scope a list": claims(scope=["messaging:read"]),
    "modules a text": claims(modules="engage.messaging"),
    "patient no id": claims(patient="Patient/zahra/../x"),
    "patient another type": claims(patient="Practitioner/amina"),
    "patient a number": claims(patient=3),
    "fhirUser another type": claims(fhirUser="Organization/x"),
    "fhirUser no reference": claims(fhirUser="amina"),
    "fhirUser a list": claims(fhirUser=["Practitioner/amina"]),
    "fhirUser file address": claims(fhirUser="file:///etc/Practitioner/amina"),
}


@pytest.mark.parametrize("kind", FORGED)
async def test_forged_token_is_refused(
    kind: str, issuer: Issuer, authenticator: Authenticator
) -> None:
    token = FORGED[kind](issuer)
    with pytest.raises(Problem) as refused:
        await authenticator.context(f"Bearer {token}", "fhir")
    problem = refused.value
    assert problem.status == 401
    assert problem.v1_code == "UNAUTHENTICATED"
    challenge = problem.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="fhir-server", error="invalid_token", error_desc')
    assert challenge.count('"') == 6
    assert not any(
        part in challenge + problem.diagnostics for part in token.split(".") if len(part) > 3
    )


async def test_good_tokens_are_taken(issuer: Issuer, authenticator: Authenticator) -> None:
    for key in (issuer.rsa, issuer.ec):
        ctx = await authenticator.context(issuer.bearer(key=key), "v1")
        assert (ctx.tenant, ctx.user, ctx.face) == ("demo", "Practitioner/amina", "v1")
        assert ctx.scopes == {"openid", "messaging:read", "user/Communication.rs"}


async def test_forged_twin_of_a_remembered_token_is_refused(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    good = issuer.bearer()
    await authenticator.context(good, "fhir")
    with pytest.raises(Problem):
        await authenticator.context(good[:-2] + ("AA" if good[-2:] != "AA" else "BB"), "fhir")


async def test_expired_token_says_so(issuer: Issuer, authenticator: Authenticator) -> None:
    with pytest.raises(Problem) as refused:
        await authenticator.context(issuer.bearer(exp=1), "fhir")
    assert refused.value.issues[0].code == "expired"


@pytest.mark.parametrize("aud", ["fhir-server", ["fhir-server"], ["account", "fhir-server"]])
async def test_audience_may_be_text_or_list(
    aud: object, issuer: Issuer, authenticator: Authenticator
) -> None:
    assert (await authenticator.context(issuer.bearer(aud=aud), "fhir")).tenant == "demo"


@pytest.mark.parametrize(("claim", "offset"), [("exp", -20), ("nbf", 20), ("iat", 20)])
async def test_clock_skew_within_the_leeway_is_allowed(
    claim: str, offset: int, issuer: Issuer, authenticator: Authenticator
) -> None:
    header = issuer.bearer(**{claim: int(time.time()) + offset})
    assert (await authenticator.context(header, "fhir")).tenant == "demo"


@pytest.mark.parametrize(("claim", "offset"), [("exp", -40), ("nbf", 40), ("iat", 40)])
async def test_clock_skew_beyond_the_leeway_is_refused(
    claim: str, offset: int, issuer: Issuer, authenticator: Authenticator
) -> None:
    header = issuer.bearer(**{claim: int(time.time()) + offset})
    await _refused(authenticator, header)


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Token abc", "Bearerabc"])
async def test_no_bearer_token_asks_for_one(
    header: str | None, authenticator: Authenticator
) -> None:
    with pytest.raises(Problem) as refused:
        await authenticator.context(header, "fhir")
    assert refused.value.status == 401
    assert refused.value.headers["WWW-Authenticate"] == 'Bearer realm="fhir-server"'


async def test_scheme_is_read_in_any_case(issuer: Issuer, authenticator: Authenticator) -> None:
    assert (await authenticator.context(f"bEaReR  {issuer.token()}", "fhir")).tenant == "demo"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authenticator, str]:
    options = AuthSettings(data_dir=tmp_path_factory.mktemp("data"))
    return Authenticator(options), mint(options, tenant="demo", sub="usr_amina")


async def _refused(authenticator: Authenticator, header: str) -> None:
    with pytest.raises(Problem) as refused:
        await authenticator.context(header, "fhir")
    assert refused.value.status == 401


SEGMENT = st.one_of(
    st.text(max_size=50),
    st.binary(max_size=200).map(b64),
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "iss", "exp", "jwk", "crit", "b64"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(2**53), 2**53),
            st.sampled_from(["RS256", "ES256", "none", "JWT", DEVELOPMENT]),
            st.lists(st.text(max_size=5), max_size=3),
        ),
    ).map(b64),
)
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=300)


@settings(max_examples=effort(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        ANY_TEXT,
        ANY_TEXT.map("Bearer {}".format),
        st.lists(SEGMENT, min_size=1, max_size=5).map(lambda s: "Bearer " + ".".join(s)),
    )
)
@example("Bearer \ud800.\udfff.\x00")
async def test_garbage_is_always_a_401(local: tuple[Authenticator, str], header: str) -> None:
    await _refused(local[0], header)


@settings(max_examples=effort(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_any_change_of_header_or_claims_is_a_401(
    local: tuple[Authenticator, str], data: st.DataObject
) -> None:
    authenticator, token = local
    signed = token.rpartition(".")[0]
    place = data.draw(st.integers(0, len(signed) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_.=").filter(lambda c: c != token[place]))
    await _refused(authenticator, f"Bearer {token[:place]}{other}{token[place + 1 :]}")


async def test_development_key_of_another_folder_is_refused(
    local: tuple[Authenticator, str], tmp_path: Path
) -> None:
    stranger = AuthSettings(data_dir=tmp_path)
    token = mint(stranger, tenant="demo", sub="usr_amina")
    await _refused(local[0], f"Bearer {token}")
