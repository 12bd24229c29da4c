"""$mark-read: who has read what, and when everyone has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clinic import Clinic, Resource, message, refer, reference, refusal, thread

EARLY, LATE = "2026-04-18T09:00:00.000Z", "2026-04-18T10:00:00.000Z"


class Talk:
    """A thread of amina, farid and sami, and one message of amina's."""

    def __init__(self, clinic: Clinic) -> None:
        self.amina, self.farid, self.sami = clinic.amina, clinic.farid, clinic.sami
        self.header = clinic.amina.created(thread("Practitioner/farid", "Practitioner/sami"))
        self.said = clinic.amina.created(message(self.header))

    def now(self) -> Resource:
        found: Resource = self.amina.get(reference(self.said)).json()
        return found


@pytest.fixture
def talk(clinic: Clinic) -> Talk:
    return Talk(clinic)


def receipts(said: Resource) -> dict[str, str]:
    parts = [{p["url"]: p for p in one["extension"]} for one in said.get("extension", ())]
    return {
        part["reader"]["valueReference"]["reference"]: part["readAt"]["valueInstant"]
        for part in parts
    }


def answered(parameters: Resource) -> list[tuple[Any, Any]]:
    parts = [{p["name"]: p for p in one["part"]} for one in parameters["parameter"]]
    return [
        (p["message"]["valueReference"]["reference"], p["readAt"]["valueInstant"]) for p in parts
    ]


def test_when_all_have_read_it_is_completed_and_received(talk: Talk) -> None:
    answer = talk.farid.read(talk.header, talk.said, at=LATE)
    assert answer.status_code == 200
    assert answered(answer.json()) == [(reference(talk.said), LATE)]
    halfway = talk.now()
    assert (halfway["status"], halfway.get("received")) == ("in-progress", None)
    assert receipts(halfway) == {"Practitioner/farid": LATE}
    talk.sami.read(talk.header, talk.said, at=EARLY)
    done = talk.now()
    assert (done["status"], done["received"]) == ("completed", LATE)
    assert receipts(done) == {"Practitioner/farid": LATE, "Practitioner/sami": EARLY}


def test_an_earlier_reading_changes_nothing(talk: Talk) -> None:
    talk.farid.read(talk.header, talk.said, at=LATE)
    before = talk.now()
    again = talk.farid.read(talk.header, talk.said, at=EARLY)
    assert answered(again.json()) == [(reference(talk.said), LATE)]
    assert talk.now() == before
    talk.farid.read(talk.header, talk.said, at=LATE)
    assert talk.now() == before


def test_a_later_reading_moves_the_receipt(talk: Talk) -> None:
    for at in (EARLY, LATE):
        talk.farid.read(talk.header, talk.said, at=at)
    assert receipts(talk.now()) == {"Practitioner/farid": LATE}
    assert talk.now()["meta"]["versionId"] == "3"


def test_unread_is_a_search(talk: Talk) -> None:
    unread = "Communication?unread-by=Practitioner/farid"
    threads = "Communication?_has:Communication:part-of:unread-by=Practitioner/farid"
    assert talk.farid.ids(unread) == {talk.said["id"]}
    assert talk.farid.ids(threads) == {talk.header["id"]}
    talk.farid.read(talk.header, talk.said)
    assert talk.farid.ids(unread) == talk.farid.ids(threads) == set()
    assert talk.farid.ids("Communication?read-by=Practitioner/farid") == {talk.said["id"]}
    assert talk.farid.ids("Communication?unread-by=Practitioner/sami") == {talk.said["id"]}


def test_whoever_is_named_by_a_version_reads_as_anyone_does(clinic: Clinic) -> None:
    farid = "Practitioner/farid"
    header = clinic.amina.created(thread(f"{farid}/_history/1"))
    assert header["recipient"] == refer(farid, "Practitioner/amina")
    renamed = refer(f"{farid}/_history/2", "Practitioner/amina")
    changed = clinic.amina.put({**header, "recipient": renamed})
    assert changed.json()["recipient"] == header["recipient"]
    said = clinic.amina.created(message(header))
    imported = clinic.service.created(
        message(header, "older", sender={"reference": f"{farid}/_history/1"})
    )
    assert imported["sender"] == {"reference": farid}
    assert clinic.farid.ids(f"Communication?participant={farid}") == {
        one["id"] for one in (header, said, imported)
    }
    assert clinic.farid.ids(f"Communication?unread-by={farid}") == {said["id"]}
    assert clinic.farid.read(header, said).status_code == 200
    assert clinic.farid.ids(f"Communication?unread-by={farid}") == set()
    assert clinic.farid.get(reference(said)).json()["status"] == "completed"


def test_the_sender_has_nothing_to_read(talk: Talk) -> None:
    assert talk.amina.read(talk.header, talk.said).status_code == 200
    assert talk.now() == talk.said


def test_only_a_participant_reads(clinic: Clinic, talk: Talk) -> None:
    outsider = clinic.person("usr_noor", "DOCTOR")
    assert refusal(outsider.read(talk.header, talk.said)) == (403, "forbidden")
    assert refusal(clinic.zahra.read(talk.header, talk.said)) == (403, "forbidden")
    assert talk.now() == talk.said


def test_messages_of_another_thread_are_not_found_and_none_is_marked(
    clinic: Clinic, talk: Talk
) -> None:
    other = clinic.amina.created(message(clinic.amina.created(thread())))
    assert refusal(talk.farid.read(talk.header, talk.said, other)) == (404, "not-found")
    assert refusal(talk.farid.read(talk.header, talk.header)) == (404, "not-found")
    assert talk.now() == talk.said


@pytest.mark.parametrize("at", ["9000-01-01T00:00:00Z", "yesterday", "2026-02-30T00:00:00Z"])
def test_a_reading_is_not_in_the_future_and_has_a_real_time(talk: Talk, at: str) -> None:
    assert refusal(talk.farid.read(talk.header, talk.said, at=at))[0] in {400, 422}
    assert talk.now() == talk.said


def test_a_call_without_messages_or_with_too_many_is_refused(talk: Talk) -> None:
    assert refusal(talk.farid.read(talk.header))[0] == 422
    many = [{"resourceType": "Communication", "id": f"m{n}"} for n in range(201)]
    assert refusal(talk.farid.read(talk.header, *many))[0] == 400
    strange = {"resourceType": "Patient", "id": "zahra"}
    assert refusal(talk.farid.read(talk.header, strange))[0] == 400


def test_an_archived_thread_can_still_be_read(talk: Talk) -> None:
    talk.amina.put({**talk.header, "status": "completed"})
    assert talk.farid.read(talk.header, talk.said).status_code == 200


def test_a_participant_of_a_restricted_chart_marks_what_he_received(clinic: Clinic) -> None:
    names = refer("Practitioner/amina", "Practitioner/farid")
    header = clinic.service.created(
        thread(patient="Patient/sealed", recipient=names, sender=names[0])
    )
    said = clinic.service.created(message(header, sender=names[0]))
    assert clinic.farid.read(header, said).status_code == 200
