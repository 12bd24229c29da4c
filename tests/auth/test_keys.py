"""The issuer's keys over real HTTP: rotation, caching, outages of every kind, recovery."""

import asyncio
import time
from collections.abc import Mapping

import pytest
from joserfc.jwk import ECKey, RSAKey

from fhir_server.http.auth import Authenticator
from fhir_server.http.auth.discovery import Discovery, DiscoveryError, signing_keys
from fhir_server.http.auth.keys import RETRY_SECONDS, IssuerKeys
from fhir_server.http.auth.token import SigningKey
from fhir_server.problems import Problem
from tests.auth.conftest import Make
from tests.auth.issuer import Issuer, Mode

FAILURES: list[Mode] = ["down", "hanging", "garbage", "empty", "list", "huge", "moved", "dripping"]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


# Seconds that one fetch of the keys may take.
TIMEOUT = 1.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(issuer: Issuer, clock: Clock) -> IssuerKeys:
    fetch = Discovery(issuer.url, None, timeout=TIMEOUT).keys
    return IssuerKeys(fetch, ttl=300, max_age=86_400, refetch_interval=10, clock=clock)


async def kept(keys: IssuerKeys, key: RSAKey | ECKey) -> bool:
    return await keys.find(key.kid or "") is not None


async def settled(keys: IssuerKeys) -> None:
    if keys._fetching is not None:
        await keys._fetching


async def test_keys_are_fetched_once_for_many_callers(keys: IssuerKeys, issuer: Issuer) -> None:
    found = await asyncio.gather(*(kept(keys, issuer.rsa) for _ in range(50)))
    assert all(found)
    assert issuer.key_fetches == 1


async def test_rotated_key_is_found_at_once(issuer: Issuer, authenticator: Authenticator) -> None:
    await authenticator.context(issuer.bearer(), "fhir")
    issuer.rotate()
    assert (await authenticator.context(issuer.bearer(), "fhir")).tenant == "demo"
    assert issuer.key_fetches == 2


async def test_unknown_key_ids_cause_one_fetch_an_interval(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    assert await kept(keys, issuer.rsa)
    for number in range(20):
        assert await keys.find(f"invented-{number}") is None
    assert issuer.key_fetches == 2
    clock.now += 11
    issuer.rotate()
    assert await kept(keys, issuer.rsa)
    assert issuer.key_fetches == 3


async def test_unknown_key_id_is_a_401_even_when_the_issuer_is_down(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    await authenticator.context(issuer.bearer(), "fhir")
    issuer.mode = "down"
    with pytest.raises(Problem) as refused:
        await authenticator.context(issuer.bearer(header={"kid": "invented"}), "fhir")
    assert refused.value.status == 401


@pytest.mark.parametrize("mode", FAILURES)
async def test_last_known_keys_serve_through_an_outage(
    mode: Mode, keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    assert await kept(keys, issuer.rsa)
    issuer.mode = mode
    clock.now += 301
    started = time.perf_counter()
    assert await kept(keys, issuer.rsa)
    # The issuer may hang for its whole time limit.
    assert time.perf_counter() - started < TIMEOUT, "a renewal never makes a request wait"
    await settled(keys)
    assert await kept(keys, issuer.rsa)
    issuer.mode = "well"
    issuer.rotate()
    clock.now += RETRY_SECONDS
    keys.tend()
    await settled(keys)
    assert await kept(keys, issuer.rsa)


@pytest.mark.parametrize("mode", FAILURES)
async def test_no_keys_ever_is_a_503_until_the_issuer_is_back(
    mode: Mode, keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    issuer.mode = mode
    with pytest.raises(Problem) as refused:
        await keys.find(issuer.rsa.kid or "")
    assert (refused.value.status, refused.value.v1_code) == (503, "DEPENDENCY_UNAVAILABLE")
    assert refused.value.headers["Retry-After"] == "2"
    asked = len(issuer.requests)
    with pytest.raises(Problem):
        await keys.find(issuer.rsa.kid or "")
    assert len(issuer.requests) == asked, "the issuer is left alone between tries"
    issuer.mode = "well"
    clock.now += RETRY_SECONDS
    assert await kept(keys, issuer.rsa)


async def test_malformed_token_is_a_401_without_keys(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    issuer.mode = "down"
    for header in ("Bearer a.b.c", issuer.bearer(header={"alg": "RS512"})):
        with pytest.raises(Problem) as refused:
            await authenticator.context(header, "fhir")
        assert refused.value.status == 401


async def test_issuer_that_does_not_listen_is_a_503(make: Make) -> None:
    elsewhere = Issuer(1)
    authenticator = make(oidc_issuer=elsewhere.url)
    with pytest.raises(Problem) as refused:
        await authenticator.context(elsewhere.bearer(), "fhir")
    assert refused.value.status == 503


async def test_keys_too_old_are_used_no_more(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    assert await kept(keys, issuer.rsa)
    issuer.mode = "down"
    clock.now += 86_401
    with pytest.raises(Problem) as refused:
        await keys.find(issuer.rsa.kid or "")
    assert refused.value.status == 503


async def test_withdrawn_key_ends_its_remembered_tokens(issuer: Issuer, make: Make) -> None:
    authenticator = make(oidc_keys_ttl=0.05, oidc_refetch_interval=0)
    old = issuer.bearer()
    await authenticator.context(old, "fhir")
    await authenticator.context(old, "fhir")
    issuer.rotate()
    await asyncio.sleep(0.06)
    await authenticator.context(old, "fhir")  # starts the renewal
    await asyncio.sleep(0.3)
    with pytest.raises(Problem) as refused:
        await authenticator.context(old, "fhir")
    assert refused.value.status == 401


async def test_waiter_that_gives_up_does_not_stop_the_fetch(
    keys: IssuerKeys, issuer: Issuer
) -> None:
    first = asyncio.create_task(keys.find(issuer.rsa.kid or ""))
    second = asyncio.create_task(kept(keys, issuer.rsa))
    await asyncio.sleep(0)
    first.cancel()
    assert await second


@pytest.mark.parametrize(
    "uri",
    [None, 7, "file:///etc/passwd", "", "ftp://127.0.0.1/certs", "http://[::", "http://\x7f/"],
)
async def test_unusable_jwks_uri_is_refused(uri: object, issuer: Issuer) -> None:
    issuer.stated_jwks_uri = uri
    with pytest.raises(DiscoveryError):
        await Discovery(issuer.url, None, timeout=1).keys()


async def test_document_of_another_issuer_is_refused(issuer: Issuer) -> None:
    issuer.stated_issuer = "https://evil.example"
    with pytest.raises(DiscoveryError):
        await Discovery(issuer.url, None, timeout=1).keys()


async def test_stated_key_set_address_skips_discovery(issuer: Issuer) -> None:
    found = await Discovery(issuer.url, f"{issuer.url}/certs", timeout=1).keys()
    assert set(found) == {issuer.rsa.kid, issuer.ec.kid}
    assert issuer.key_fetches == len(issuer.requests) == 1


def _with(key: RSAKey | ECKey, **changes: object) -> dict[str, object]:
    return {**key.as_dict(private=False), "kid": "k", **changes}


def unusable() -> Mapping[str, object]:
    rsa = RSAKey.generate_key(2048)
    return {
        "weak RSA": _with(RSAKey.generate_key(1024)),
        "P-384": _with(ECKey.generate_key("P-384")),
        "encryption": _with(rsa, use="enc"),
        "RS512 only": _with(rsa, alg="RS512"),
        "symmetric": {"kty": "oct", "k": "c2VjcmV0", "kid": "k"},
        "no kid": _with(rsa, kid=None),
        "n no base64": _with(rsa, n="***"),
        "n empty": _with(rsa, n=""),
        "point off the curve": _with(ECKey.generate_key("P-256"), x="AAAA"),
        "no object": "k",
    }


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_unusable_keys_are_passed_over() -> None:
    good: SigningKey = RSAKey.generate_key(2048)
    for name, jwk in unusable().items():
        found = signing_keys({"keys": [jwk, {**good.as_dict(private=False), "kid": "good"}]})
        assert set(found) == {"good"}, name


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}])
def test_key_set_without_a_list_has_no_keys(document: dict[str, object]) -> None:
    assert signing_keys(document) == {}
