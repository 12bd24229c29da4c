"""The rules of the profile comm-message."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clinic import Clinic, Resource, message, refer, reference, refusal, thread

PROFILE = "https://fhir.ghasi.af/StructureDefinition/comm-message"
RECEIPT = {
    "url": "https://fhir.ghasi.af/StructureDefinition/read-receipt",
    "extension": [
        {"url": "reader", "valueReference": {"reference": "Practitioner/farid"}},
        {"url": "readAt", "valueInstant": "2026-04-18T09:00:00Z"},
    ],
}

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">Never said</div>'


@pytest.fixture
def header(clinic: Clinic) -> Resource:
    """Amina's thread with farid and sami about zahra, during a visit."""
    visit = clinic.service.created(
        {
            "resourceType": "Encounter",
            "status": "in-progress",
            "class": {"code": "VR"},
            "subject": {"reference": "Patient/zahra"},
        }
    )
    names = ("Practitioner/farid", "Practitioner/sami")
    return clinic.amina.created(thread(*names, encounter={"reference": reference(visit)}))


def test_it_takes_from_the_thread_what_makes_it_findable(clinic: Clinic, header: Resource) -> None:
    said = clinic.farid.created(message(header))
    assert said["subject"] == header["subject"]
    assert said["encounter"] == header["encounter"]
    assert said["recipient"] == refer("Practitioner/sami", "Practitioner/amina")
    assert said["sender"] == {"reference": "Practitioner/farid"}
    assert said["priority"] == "routine"
    assert said["sent"]
    assert said["meta"]["profile"] == [PROFILE]
    assert said["id"] in clinic.amina.ids("Communication?patient=Patient/zahra")
    assert said["id"] in clinic.amina.ids(
        f"Communication?encounter={header['encounter']['reference']}"
    )


def test_recipients_are_the_threads_whatever_the_sender_says(
    clinic: Clinic, header: Resource
) -> None:
    said = clinic.amina.created(message(header, recipient=refer("Practitioner/nobody")))
    assert said["recipient"] == refer("Practitioner/farid", "Practitioner/sami")


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ({"sender": {"reference": "Practitioner/amina"}}, (403, "forbidden")),
        ({"subject": {"reference": "Patient/omid"}}, (409, "conflict")),
        ({"encounter": {"reference": "Encounter/other"}}, (409, "conflict")),
        ({"partOf": refer("Communication/none")}, (422, "not-found")),
        ({"payload": []}, (422, None)),
        ({"priority": "soon"}, (422, None)),
        ({"extension": [RECEIPT]}, (403, "forbidden")),
        ({"received": "2026-04-18T09:00:00Z"}, (403, "forbidden")),
    ],
)
def test_what_is_refused(
    clinic: Clinic, header: Resource, more: dict[str, Any], refused: tuple[int, str | None]
) -> None:
    status, code = refusal(clinic.farid.post(message(header, **more)))
    assert (status, refused[1] and code) == refused
    assert clinic.farid.ids(f"Communication?part-of={reference(header)}") == set()


def test_a_thread_without_payload_is_no_way_around(clinic: Clinic, header: Resource) -> None:
    bare = message(header)
    del bare["payload"]
    outsider = clinic.person("usr_noor", "DOCTOR")
    assert refusal(outsider.post(bare))[0] in {403, 422}
    two = message(header, partOf=refer(reference(header), reference(header)))
    assert refusal(clinic.farid.post(two))[0] == 422


@pytest.mark.parametrize("name", [{"display": "Dr Farid"}, {"identifier": {"value": "farid"}}])
def test_nobody_borrows_a_name(clinic: Clinic, header: Resource, name: Resource) -> None:
    for given in (name, {**name, "reference": "Practitioner/amina"}):
        said = clinic.amina.created(message(header, sender=given))
        assert said["sender"] == {"reference": "Practitioner/amina"}


def test_only_participants_write(clinic: Clinic, header: Resource) -> None:
    outsider = clinic.person("usr_noor", "DOCTOR")
    assert refusal(outsider.post(message(header))) == (403, "forbidden")
    assert refusal(clinic.zahra.post(message(header))) == (403, "forbidden")


def test_a_message_has_no_messages(clinic: Clinic, header: Resource) -> None:
    said = clinic.amina.created(message(header))
    assert refusal(clinic.farid.post(message(said))) == (422, "business-rule")


def test_nobody_writes_in_an_archived_thread(clinic: Clinic, header: Resource) -> None:
    clinic.amina.put({**header, "status": "completed"})
    assert refusal(clinic.farid.post(message(header))) == (409, "conflict")


def test_content_stays_and_status_may_change(clinic: Clinic, header: Resource) -> None:
    said = clinic.amina.created(message(header))
    for change in (
        {"payload": [{"contentString": "Never said"}]},
        {"sent": "2001-01-01T00:00:00Z"},
        {"priority": "stat"},
        {"recipient": refer("Practitioner/farid")},
        {"extension": [RECEIPT]},
        {"note": [{"text": "Meant otherwise"}]},
        {"text": {"status": "generated", "div": DIV}},
        {"status": "completed"},
    ):
        assert refusal(clinic.amina.put({**said, **change})) == (409, "conflict")
    assert refusal(clinic.farid.put({**said, "status": "entered-in-error"})) == (403, "forbidden")
    assert refusal(clinic.amina.delete(reference(said))) == (403, "forbidden")
    withdrawn = clinic.amina.put({**said, "status": "entered-in-error"})
    assert withdrawn.status_code == 200, withdrawn.text
    assert refusal(clinic.amina.put(said)) == (409, "conflict")


def test_a_message_does_not_move_to_another_thread(clinic: Clinic, header: Resource) -> None:
    said = clinic.amina.created(message(header))
    other = clinic.amina.created(thread())
    moved = {**said, "partOf": refer(reference(other))}
    assert refusal(clinic.amina.put(moved)) == (409, "conflict")
    freed = {k: v for k, v in said.items() if k not in {"partOf", "meta"}}
    assert refusal(clinic.amina.put(freed))[0] in {409, 422}


def test_only_a_thread_takes_messages(clinic: Clinic) -> None:
    """A record with recipients is none, nor is a message."""
    record = {
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"reference": "Patient/zahra"},
        "recipient": refer("Practitioner/farid", "Practitioner/amina"),
        "payload": [{"contentString": "By phone"}],
    }
    said = clinic.amina.created(message(clinic.amina.created(thread())))
    for whole in (clinic.amina.created(record), said):
        for person in (clinic.amina, clinic.service):
            answer = person.post(message(whole, sender={"reference": "Practitioner/amina"}))
            assert refusal(answer) == (422, "business-rule")
            assert answer.json()["issue"][0]["expression"] == ["Communication.partOf[0]"]
