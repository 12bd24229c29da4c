from __future__ import annotations

import asyncio

import pytest

from fhir_server import demo
from fhir_server.settings import Settings
from tests.conftest import Login


@pytest.fixture(scope="module", autouse=True)
def _loaded(settings_of_tests: Settings) -> None:
    asyncio.run(demo.load(settings_of_tests))


@pytest.mark.parametrize(
    ("tenant", "person"),
    [
        *(("demo", f"Practitioner/{who}") for who in ("amina", "farid", "sami", "laila", "admin")),
        *(("demo", f"Patient/{who}") for who in ("zahra", "omid")),
        ("demo", "PractitionerRole/on-call"),
        ("demo-north", "Practitioner/noor"),
        ("demo-north", "Patient/navid"),
        ("demo-plain", "Practitioner/karim"),
    ],
)
def test_its_people_are_there(login: Login, tenant: str, person: str) -> None:
    doctor = login(tenant, "usr_anyone", "DOCTOR")
    assert doctor.get(f"/fhir/R4/{person}").status_code == 200


def test_a_restricted_patient_is_closed_without_a_care_team(login: Login) -> None:
    assert login("demo", "usr_amina", "DOCTOR").get("/fhir/R4/Patient/sealed").status_code == 403
    assert login("demo", "usr_admin", "ADMIN").get("/fhir/R4/Patient/zahra").status_code == 200


def test_its_conversation_is_in_the_inboxes_of_those_who_take_part(login: Login) -> None:
    for who, count in (("usr_amina", 1), ("usr_farid", 1), ("usr_laila", 1), ("usr_sami", 0)):
        inbox = login("demo", who, "DOCTOR", modules=()).get("/v1/communication/threads")
        assert len(inbox.json()["items"]) == count


def test_licences(login: Login) -> None:
    for tenant, status in (("demo", 200), ("demo-north", 200), ("demo-plain", 403)):
        doctor = login(tenant, "usr_anyone", "DOCTOR", modules=())
        assert doctor.get("/v1/communication/threads").status_code == status
