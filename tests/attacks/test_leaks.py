"""Ways to learn of what is hidden that no table of rights shows; each must tell nothing.

Words of what is hidden are found by their mark (`zq…`), whatever the status of an answer.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.attacks.oracle import Caller
from tests.attacks.watch import JSON, Watch
from tests.attacks.world import label
from tests.support.clinic import (
    Clinic,
    Person,
    Resource,
    message,
    refer,
    reference,
    refusal,
    thread,
)

JSON_PATCH = "application/json-patch+json"
WORD = "zq9999a"
CURIOUS = ("amina", "farid", "zahra", "sami")


def hidden_from(watch: Watch, caller: Caller, kind: str) -> Resource:
    seen = watch.oracle.seen(caller)
    return next(
        one
        for name, one in watch.world.resources.items()
        if one["resourceType"] == kind and name not in seen
    )


# Patches that look


@pytest.mark.parametrize("name", CURIOUS)
def test_a_patch_is_no_way_to_read(watch: Watch, name: str) -> None:
    """Right and wrong guesses about what is hidden are answered alike, on both kinds of patch."""
    caller = watch.callers[name]
    one = hidden_from(watch, caller, "Communication")
    at = f"Communication/{one['id']}"
    told = set()
    for guess in (one["status"], "completed", "x"):
        tested = [{"op": "test", "path": "/status", "value": guess}]
        copied = [{"op": "copy", "from": "/status", "path": "/language"}]
        path = f"Communication.where(status='{guess}').language"
        parts = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": path}]
        operation = {"name": "operation", "part": parts}
        fhirpath = {"resourceType": "Parameters", "parameter": [operation]}
        for body, kind in ((tested, JSON_PATCH), (copied, JSON_PATCH), (fhirpath, JSON)):
            answer = watch.ask(caller, "PATCH", at, body, content_type=kind)
            told.add((answer.status_code, answer.text))
        for tag in ('W/"1"', 'W/"2"', "*"):
            answer = watch.ask(caller, "PATCH", at, tested, content_type=JSON_PATCH, if_match=tag)
            told.add((answer.status_code, answer.text))
    assert len(told) == 1
    assert told.pop()[0] == 403


@pytest.mark.parametrize("name", CURIOUS)
def test_conditional_references_find_what_he_may_see(watch: Watch, name: str) -> None:
    """By a word of what is hidden, and by one that nobody has: the same refusal."""
    caller = watch.callers[name]
    for kind in ("Patient", "Communication", "Encounter"):
        word = hidden_from(watch, caller, kind)["identifier"][0]["value"]
        told = []
        for value in (word, "zq0000x"):
            link = {"reference": f"{kind}?identifier=urn:x:mrn|{value}"}
            body = {"resourceType": "Communication", "status": "completed", "about": [link]}
            task = {"resource": body, "request": {"method": "POST", "url": "Communication"}}
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [task]}
            answer = watch.ask(caller, "POST", "/fhir/R4", bundle)
            told.append((answer.status_code, answer.text))
        assert told[0] == told[1]
        assert told[0][0] == 412


@pytest.mark.parametrize("name", CURIOUS)
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_bundles_tell_no_more_than_their_entries(watch: Watch, name: str, kind: str) -> None:
    """Reads, histories, searches with includes and writes of what is hidden."""
    caller = watch.callers[name]
    entries: list[Any] = []
    for type in ("Communication", "Patient", "Encounter", "DocumentReference", "List"):
        one = hidden_from(watch, caller, type)
        at = f"{type}/{one['id']}"
        urls = [at, f"{at}/_history", f"{at}/_history/1", f"{type}?_id={one['id']}&_include=*"]
        entries += [{"request": {"method": "GET", "url": url}} for url in urls]
        entries += [{"resource": one, "request": {"method": "PUT", "url": at}}]
    for entry in [entries, *([one] for one in entries)]:
        bundle = {"resourceType": "Bundle", "type": kind, "entry": entry}
        watch.ask(caller, "POST", "/fhir/R4", bundle)
        watch.ask(caller, "POST", "/fhir/R4", bundle, prefer="return=representation")


@pytest.mark.parametrize("name", CURIOUS)
def test_validate_tells_nothing_of_what_a_resource_names(watch: Watch, name: str) -> None:
    """A message into a hidden thread, an escalation of it, a record of its patient."""
    caller = watch.callers[name]
    talk = hidden_from(watch, caller, "Communication")
    at = {"reference": f"Communication/{talk['id']}"}
    link = {"subject": talk["subject"]} if "subject" in talk else {}
    kind = "https://fhir.ghasi.af/CodeSystem/request-kind"
    bodies: list[Resource] = [
        {"resourceType": "Communication", "status": "in-progress", "partOf": [at],
         "payload": [{"contentString": "x"}]},
        {"resourceType": "Communication", "status": "completed", **link},
        {"resourceType": "CommunicationRequest", "status": "active", "about": [at],
         "category": [{"coding": [{"system": kind, "code": "escalation"}]}]},
    ]  # fmt: skip
    for body in bodies:
        for path in (body["resourceType"], f"{body['resourceType']}/$validate"):
            watch.ask(caller, "POST", path, body)


# The past


def closing(clinic: Clinic) -> Resource:
    """Something about zahra, whose words change, whose chart is closed, and which is corrected."""
    first = clinic.amina.created(thread("Practitioner/farid", topic={"text": WORD}))
    clinic.amina.put({**first, "topic": {"text": "later"}})
    clinic.service.put({"resourceType": "Patient", "id": "zahra", "meta": label("R")})
    return first


def pasts(person: Person, one: Resource) -> list[httpx.Response]:
    at = reference(one)
    return [
        person.get(path)
        for path in (
            at, f"{at}/_history", f"{at}/_history/1", f"{at}/_history/2", "Communication/_history",
            "_history", "Communication/_history?_at=gt2020&_count=1000",
            f"Communication?_content={WORD}",
            f"Communication?topic:text={WORD}", "Patient/zahra/$everything", f"{at}/_history/3",
        )
    ]  # fmt: skip


def test_a_version_from_before_a_restriction_is_closed_with_the_rest(clinic: Clinic) -> None:
    one = closing(clinic)
    for person in (clinic.sami, clinic.farid, clinic.amina, clinic.person("usr_x", "VISITOR")):
        for answer in pasts(person, one):
            own = answer.text.replace(f"_content={WORD}", "").replace(f"topic:text={WORD}", "")
            assert WORD not in own
            assert one["id"] not in own or answer.status_code == 403


def test_a_deleted_version_is_told_to_backends_only(clinic: Clinic) -> None:
    """410 where it was, without a word of it; in no history of a type."""
    body = {"resourceType": "Encounter", "status": "planned", "class": {"code": WORD},
            "subject": {"reference": "Patient/zahra"}}  # fmt: skip
    gone = clinic.amina.created(body)
    assert clinic.amina.delete(reference(gone)).status_code == 204
    at = reference(gone)
    for person in (clinic.amina, clinic.zahra, clinic.person("usr_admin", "ADMIN")):
        for path in (at, f"{at}/_history", f"{at}/_history/1", f"{at}/_history/2"):
            answer = person.get(path)
            assert answer.status_code == 410
            assert WORD not in answer.text
        for path in ("Encounter/_history", "_history"):
            assert gone["id"] not in person.get(path).text
    assert WORD in clinic.service.get(f"{at}/_history/1").text


def test_who_left_keeps_what_he_was_sent_and_gets_no_more(clinic: Clinic) -> None:
    talk = clinic.amina.created(thread("Practitioner/farid", "Practitioner/sami", patient=None))
    before = clinic.amina.created(message(talk, "before"))
    clinic.amina.put({**talk, "recipient": refer("Practitioner/amina", "Practitioner/farid")})
    after = clinic.amina.created(message(talk, "after"))
    assert clinic.sami.get(reference(before)).status_code == 200
    for one in (talk, after):
        assert refusal(clinic.sami.get(reference(one))) == (403, "forbidden")
    assert clinic.sami.v1("GET", "threads").json()["items"] == []


# Writing where one does not read


def test_who_does_not_see_a_thread_learns_nothing_by_writing_into_it(clinic: Clinic) -> None:
    """Open, archived, or no thread at all: one answer."""
    open_one = clinic.amina.created(thread("Practitioner/farid", patient=None))
    closed = clinic.amina.created(thread("Practitioner/farid", patient=None))
    said = clinic.amina.created(message(open_one))
    clinic.amina.put({**closed, "status": "completed"})
    for make in (message, escalation):
        told = {
            clinic.sami.post(make(talk)).text.replace(talk["id"], "ID")
            for talk in (open_one, closed, said)
        }
        assert len(told) == 1
    for path, body in (("messages", {"body": "x"}), ("escalate", {})):
        answers = [
            clinic.sami.v1("POST", f"threads/thr_{one['id']}/{path}", body)
            for one in (open_one, closed)
        ]
        assert len({answer.text for answer in answers}) == 1


def escalation(talk: Resource) -> Resource:
    kind = {"system": "https://fhir.ghasi.af/CodeSystem/request-kind", "code": "escalation"}
    return {
        "resourceType": "CommunicationRequest",
        "status": "active",
        "category": [{"coding": [kind]}],
        "about": refer(reference(talk)),
    }


def test_a_participant_without_the_chart_writes_nothing_into_it(clinic: Clinic) -> None:
    """What one writes one may read: 403 from when the chart is closed to him."""
    talk = clinic.amina.created(thread("Practitioner/farid"))
    label_it = {"resourceType": "Patient", "id": "zahra", "meta": label("V")}
    assert clinic.service.put(label_it).status_code == 200
    assert refusal(clinic.farid.post(message(talk))) == (403, "forbidden")
    assert refusal(clinic.amina.put({**talk, "status": "completed"})) == (403, "forbidden")
    file: Resource = {"fileName": "a.pdf", "contentType": "application/pdf", "size": 5}
    sent: list[tuple[str, Resource]] = [
        ("messages", {"body": "x"}), ("escalate", {}), ("attachments", file)
    ]  # fmt: skip
    for path, body in sent:
        assert clinic.farid.v1("POST", f"threads/thr_{talk['id']}/{path}", body).status_code == 403


def test_one_marks_nothing_read_that_one_was_not_sent(clinic: Clinic) -> None:
    """What was said before one joined, and what was said elsewhere, is not there: 404."""
    talk = clinic.amina.created(thread("Practitioner/farid", patient=None))
    before = clinic.amina.created(message(talk))
    another = clinic.amina.created(thread("Practitioner/farid", patient=None))
    elsewhere = clinic.amina.created(message(another))
    people = refer(*(f"Practitioner/{name}" for name in ("farid", "sami", "amina")))
    clinic.amina.put({**talk, "recipient": people})
    nobody = {"resourceType": "Communication", "id": "00000000-0000-0000-0000-000000000000"}
    told = {
        clinic.sami.read(talk, one).text.replace(one["id"], "ID")
        for one in (before, elsewhere, nobody)
    }
    assert len(told) == 1
    assert clinic.sami.read(talk, before).status_code == 404
    assert clinic.service.get(f"{reference(before)}/_history").json()["total"] == 1


def test_files_of_others_cannot_be_sent(clinic: Clinic) -> None:
    """One that is not there and one that is not his are refused alike."""
    talk = clinic.amina.created(thread("Practitioner/farid"))
    body = {"fileName": f"{WORD}.pdf", "contentType": "application/pdf", "size": 5}
    announced = clinic.amina.v1("POST", f"threads/thr_{talk['id']}/attachments", body)
    file = announced.json()["attachmentId"]
    told = []
    for one in (file, "att_" + "0" * 36):
        sent = {"body": "x", "attachmentIds": [one]}
        answer = clinic.farid.v1("POST", f"threads/thr_{talk['id']}/messages", sent)
        told.append((answer.status_code, answer.text.replace(one, "ID")))
        for method, path in (("GET", "upload"), ("GET", "content"), ("PUT", "content")):
            found = clinic.farid.ask(method, f"/v1/communication/attachments/{one}/{path}",
                                     b"12345" if method == "PUT" else None)  # fmt: skip
            assert found.status_code in (403, 404)
            assert WORD not in found.text
    assert told[0] == told[1]
    assert told[0][0] == 422


# Keys and cursors


@pytest.mark.parametrize("header", ["idempotency_key", "x_client_mutation_id"])
def test_a_key_is_its_users_own(clinic: Clinic, new_clinic: Any, header: str) -> None:
    """Another user's, and another tenant's user of the same name, is another key."""
    key = {header: uuid4().hex}
    body = {"participantIds": ["usr_sami"], "subject": WORD}
    first = clinic.amina.v1("POST", "threads", body, **key)
    north = new_clinic()
    told = [first.json()["threadId"]]
    for person in (clinic.farid, north.amina):
        answer = person.v1("POST", "threads", body, **key)
        assert answer.status_code == 201
        assert "idempotency-replayed" not in answer.headers
        told.append(answer.json()["threadId"])
        other = person.v1("POST", "threads", {**body, "subject": "y"}, **key)
        assert WORD not in other.text
    assert len(set(told)) == 3


def test_cursors_of_v1_are_of_one_reader_and_list(clinic: Clinic, new_clinic: Any) -> None:
    north = new_clinic()
    talks = [clinic.amina.created(thread("Practitioner/farid")) for _ in range(3)]
    for _ in range(3):
        clinic.amina.created(message(talks[0]))
    lists = ("threads", f"threads/thr_{talks[0]['id']}/messages")
    for path in lists:
        cursor = clinic.amina.v1("GET", f"{path}?limit=1").json()["nextCursor"]
        assert clinic.amina.v1("GET", f"{path}?limit=1&cursor={cursor}").status_code == 200
        for person, other in (
            (clinic.farid, path),
            (north.amina, "threads"),
            (clinic.amina, next(one for one in lists if one != path)),
            (clinic.amina, f"threads/thr_{talks[1]['id']}/messages"),
        ):
            answer = person.v1("GET", f"{other}?limit=1&cursor={cursor}")
            assert answer.status_code == 400, (path, other)


def test_a_refusal_quotes_nothing_that_is_hidden(watch: Watch) -> None:
    """Wrong requests about what is hidden; the check is in every answer."""
    caller = watch.callers["amina"]
    one = hidden_from(watch, caller, "Communication")
    at = f"Communication/{one['id']}"
    wrong = [
        ("PUT", at, {**one, "status": "zzz"}),
        ("PUT", at, {**one, "id": "other"}),
        ("PUT", at, {"resourceType": "Patient"}),
        ("POST", f"{at}/$mark-read", {"resourceType": "Parameters"}),
        ("POST", f"{at}/$none", {"resourceType": "Parameters"}),
        ("GET", f"{at}?_format=zzz", None),
        ("GET", f"{at}?_elements=payload&_summary=true", None),
        ("GET", f"Communication?part-of={at}&_sort=zzz", None),
        ("GET", f"Communication?part-of:Communication.zzz=x&_id={one['id']}", None),
    ]
    for method, path, body in wrong:
        answer = watch.ask(caller, method, path, json.dumps(body) if body else None)
        assert answer.status_code >= 400 or answer.json().get("total", 0) == 0
