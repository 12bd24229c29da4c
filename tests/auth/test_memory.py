"""Remembered tokens: quick, bounded, and gone the moment they expire."""

import time

import pytest

from fhir_server.http.auth import Authenticator
from fhir_server.problems import Problem
from tests.auth.conftest import Make
from tests.auth.issuer import Issuer


async def test_remembered_token_ends_with_its_expiry(issuer: Issuer, make: Make) -> None:
    now = time.time()
    authenticator = make(clock=lambda: now)
    header = issuer.bearer(exp=int(now) + 100, iat=int(now))
    await authenticator.context(header, "fhir")
    now += 129
    await authenticator.context(header, "fhir")
    now += 2
    with pytest.raises(Problem) as refused:
        await authenticator.context(header, "fhir")
    assert refused.value.issues[0].code == "expired"
    assert len(authenticator._memory) == 0


async def test_memory_is_bounded_and_forgets_the_least_used(issuer: Issuer, make: Make) -> None:
    authenticator = make(oidc_remembered_tokens=3)
    first = issuer.bearer(sub="usr_first")
    await authenticator.context(first, "fhir")
    await authenticator.context(first, "fhir")  # the first proof also fetched the keys
    (entry,) = authenticator._memory._entries.values()
    for number in range(10):
        await authenticator.context(issuer.bearer(sub=f"usr_{number}"), "fhir")
        await authenticator.context(first, "fhir")
    assert len(authenticator._memory) == 3
    assert any(kept is entry for kept in authenticator._memory._entries.values()), "proven once"
    subjects = {kept.identity.subject for kept in authenticator._memory._entries.values()}
    assert subjects == {"usr_first", "usr_8", "usr_9"}


async def test_nothing_is_remembered_when_so_set(issuer: Issuer, make: Make) -> None:
    authenticator = make(oidc_remembered_tokens=0)
    header = issuer.bearer()
    assert (await authenticator.context(header, "fhir")).tenant == "demo"
    assert (await authenticator.context(header, "fhir")).tenant == "demo"
    assert len(authenticator._memory) == 0


async def test_tokens_are_not_kept_themselves(issuer: Issuer, authenticator: Authenticator) -> None:
    header = issuer.bearer()
    await authenticator.context(header, "fhir")
    (key,) = authenticator._memory._entries
    assert len(key) == 32


async def test_face_and_time_are_those_of_the_request(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    header = issuer.bearer()
    first = await authenticator.context(header, "fhir")
    second = await authenticator.context(header, "v1")
    assert (first.face, second.face) == ("fhir", "v1")
    assert second.now > first.now


async def test_a_remembered_token_costs_a_fraction_of_a_proof(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    headers = [issuer.bearer(jti=str(n)) for n in range(40)]

    async def seconds(header: str) -> float:
        started = time.perf_counter()
        await authenticator.context(header, "fhir")
        return time.perf_counter() - started

    proofs = [await seconds(header) for header in headers]
    remembered = [await seconds(header) for header in headers]
    assert min(remembered) * 5 < min(proofs)
