"""What a good token's claims become."""

from typing import Any

import pytest

from fhir_server.http.auth import Authenticator
from fhir_server.http.auth.claims import Identity, identity
from fhir_server.problems import Problem
from tests.auth.conftest import Make
from tests.auth.issuer import Issuer

CLIENT = "fhir-server"


def of(fhir_base: str | None = None, **claims: Any) -> Identity:
    return identity({"tid": "demo", "sub": "someone"} | claims, CLIENT, fhir_base)


@pytest.mark.parametrize(
    ("sub", "user"),
    [
        ("usr_amina", "Practitioner/amina"),
        ("pat_zahra", "Patient/zahra"),
        ("rel_0198-a.b", "RelatedPerson/0198-a.b"),
        ("svc_scheduling", None),
        ("7f3c1e0a-1111-4222-8333-444455556666", None),
        ("usr", None),
    ],
)
def test_user_is_derived_from_the_subject(sub: str, user: str | None) -> None:
    assert of(sub=sub).user == user


@pytest.mark.parametrize(
    ("stated", "user"),
    [
        ("Practitioner/amina", "Practitioner/amina"),
        ("https://ehr.example/fhir/R4/Practitioner/amina", "Practitioner/amina"),
        ("http://127.0.0.1:8000/fhir/R4/Patient/zahra", "Patient/zahra"),
        ("RelatedPerson/r1", "RelatedPerson/r1"),
    ],
)
def test_stated_user_goes_before_the_subject(stated: str, user: str) -> None:
    assert of(sub="usr_other", fhirUser=stated).user == user


def test_stated_user_must_lie_under_the_configured_base() -> None:
    base = "https://ehr.example/fhir/R4/"
    assert of(base, fhirUser=f"{base}Patient/zahra").user == "Patient/zahra"
    assert of(base, fhirUser="Patient/zahra").user == "Patient/zahra"
    for other in ("https://ehr.example.evil/fhir/R4", "https://ehr.example", "x"):
        with pytest.raises(Problem):
            of(base, fhirUser=f"{other}/Patient/zahra")


@pytest.mark.parametrize("stated", ["zahra", "pat_zahra", "Patient/zahra"])
def test_patient_is_read_in_every_form(stated: str) -> None:
    assert of(patient=stated).patient == "Patient/zahra"


def test_patient_is_the_user_when_the_user_is_a_patient() -> None:
    assert of(sub="pat_zahra").patient == "Patient/zahra"
    assert of(sub="usr_amina").patient is None


def test_roles_come_from_all_three_places_and_our_client_only() -> None:
    found = of(
        roles=["ADMIN"],
        realm_access={"roles": ["DOCTOR", "offline_access"]},
        resource_access={CLIENT: {"roles": ["NURSE"]}, "account": {"roles": ["SERVICE"]}},
    )
    assert found.roles == {"ADMIN", "DOCTOR", "offline_access", "NURSE"}


async def test_client_whose_roles_count_can_be_set(issuer: Issuer, make: Make) -> None:
    header = issuer.bearer(resource_access={"app": {"roles": ["NURSE"]}})
    assert "NURSE" in (await make(oidc_client="app").context(header, "fhir")).roles
    assert "NURSE" not in (await make().context(header, "fhir")).roles


async def test_whole_context(issuer: Issuer, authenticator: Authenticator) -> None:
    header = issuer.bearer(
        sub="pat_zahra", roles=["PATIENT"], realm_access=None, modules=["engage.messaging"]
    )
    ctx = await authenticator.context(header, "v1")
    assert (ctx.tenant, ctx.subject, ctx.user) == ("demo", "pat_zahra", "Patient/zahra")
    assert (ctx.patient, set(ctx.roles)) == ("Patient/zahra", {"PATIENT"})
    assert (set(ctx.modules), ctx.face) == ({"engage.messaging"}, "v1")
    assert ctx.scopes == {"openid", "messaging:read", "user/Communication.rs"}
    assert not ctx.is_system
