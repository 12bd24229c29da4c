"""The rules of the profile comm-thread."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clinic import Clinic, Resource, refer, reference, refusal, stored, thread

PROFILE = "https://fhir.ghasi.af/StructureDefinition/comm-thread"


@pytest.fixture
def header(clinic: Clinic) -> Resource:
    """Amina's thread with farid about zahra."""
    return clinic.amina.created(thread())


def test_the_creator_signs_and_takes_part(clinic: Clinic) -> None:
    header = clinic.amina.created(thread("Practitioner/farid"))
    assert header["sender"] == {"reference": "Practitioner/amina"}
    assert header["recipient"] == refer("Practitioner/farid", "Practitioner/amina")
    assert header["meta"]["profile"] == [PROFILE]
    assert header["sent"]


def test_a_creator_who_is_listed_is_listed_once(clinic: Clinic) -> None:
    names = refer("Practitioner/amina", "Practitioner/farid")
    header = clinic.amina.created(thread(recipient=names))
    assert header["recipient"] == names


def test_a_claimed_profile_is_named_once(clinic: Clinic) -> None:
    header = clinic.amina.created(thread(meta={"profile": [PROFILE]}))
    assert header["meta"]["profile"] == [PROFILE]


@pytest.mark.parametrize(
    "wrong",
    [
        thread(sender={"reference": "Practitioner/farid"}),
        thread("Practitioner/nobody"),
        thread("Practitioner/farid", "Patient/nobody"),
        thread(patient="Patient/nobody"),
        thread(patient="Patient/sealed"),
    ],
)
def test_who_may_open_what_with_whom(clinic: Clinic, wrong: Resource) -> None:
    assert refusal(clinic.amina.post(wrong)) == (403, "forbidden")


def test_a_backend_opens_it_in_someones_name(clinic: Clinic) -> None:
    header = clinic.service.created(thread(sender={"reference": "Practitioner/sami"}))
    assert header["sender"] == {"reference": "Practitioner/sami"}
    assert {"reference": "Practitioner/sami"} in header["recipient"]
    nobody = clinic.person("backend", "SERVICE")
    assert refusal(nobody.post(thread())) == (400, "invalid")


def test_a_patient_opens_one_about_himself_only(clinic: Clinic) -> None:
    own = clinic.zahra.created(thread("Practitioner/amina"))
    assert own["sender"] == {"reference": "Patient/zahra"}
    other = thread("Practitioner/amina", patient="Patient/omid")
    assert refusal(clinic.zahra.post(other)) == (403, "forbidden")


@pytest.mark.parametrize(
    "change",
    [
        {"topic": {"text": "Other"}},
        {"recipient": refer("Practitioner/farid", "Practitioner/amina", "Practitioner/sami")},
        {"status": "completed"},
    ],
)
def test_what_a_participant_may_change(
    clinic: Clinic, header: Resource, change: dict[str, Any]
) -> None:
    assert clinic.farid.put({**header, **change}).status_code == 200
    assert clinic.sami.get(reference(header)).json().items() >= change.items()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"sender": {"reference": "Practitioner/farid"}}, 409),
        ({"subject": {"reference": "Patient/omid"}}, 409),
        ({"sent": "2001-01-01T00:00:00Z"}, 409),
        ({"recipient": refer("Practitioner/farid")}, 409),
        ({"recipient": refer("Practitioner/amina", "Practitioner/nobody")}, 403),
        ({"status": "zzz"}, 422),
        ({"topic": {}}, 422),
        ({"topic": None}, 422),
    ],
)
def test_what_nobody_may_change(
    clinic: Clinic, header: Resource, change: dict[str, Any], status: int
) -> None:
    body = {k: v for k, v in {**header, **change}.items() if v is not None}
    assert refusal(clinic.farid.put(body))[0] == status
    assert clinic.farid.get(reference(header)).json() == header


def test_a_thread_does_not_turn_into_something_else(clinic: Clinic, header: Resource) -> None:
    disguised = {k: v for k, v in header.items() if k not in {"topic", "meta"}}
    disguised["payload"] = [{"contentString": "x"}]
    for person in (clinic.farid, clinic.sami):
        assert refusal(person.put(disguised))[0] in {403, 409, 422}
    assert clinic.farid.get(reference(header)).json() == header


def test_a_thread_stays_one_in_steps(clinic: Clinic, header: Resource) -> None:
    bare = {k: v for k, v in header.items() if k not in {"topic", "meta"}}
    assert refusal(clinic.farid.put(bare)) == (422, "required")
    unclaimed = {k: v for k, v in header.items() if k != "meta"}
    assert stored(clinic.farid.put(unclaimed))["meta"]["profile"] == [PROFILE]


def test_others_may_read_the_chart_but_not_change_the_thread(
    clinic: Clinic, header: Resource
) -> None:
    assert clinic.sami.get(reference(header)).status_code == 200
    joining = {**header, "recipient": [*header["recipient"], *refer("Practitioner/sami")]}
    assert refusal(clinic.sami.put(joining)) == (403, "forbidden")
    assert refusal(clinic.sami.put({**header, "status": "completed"})) == (403, "forbidden")


def test_a_thread_is_archived_not_deleted(clinic: Clinic, header: Resource) -> None:
    assert refusal(clinic.amina.delete(reference(header))) == (403, "forbidden")
    archived = clinic.amina.put({**header, "status": "completed"})
    assert archived.status_code == 200
    assert refusal(clinic.amina.put(header)) == (409, "conflict")
    assert refusal(clinic.amina.put({**header, "topic": {"text": "x"}})) == (409, "conflict")
    assert clinic.service.delete(reference(header)).status_code == 204
