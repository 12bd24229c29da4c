"""Who may write what, where no rule of a profile decides: what he may see afterwards."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.clinic import Clinic, Resource, message, refer, reference, refusal, thread

SEALED = {"reference": "Patient/sealed"}
ZAHRA = {"reference": "Patient/zahra"}


def about(resource_type: str, subject: Resource, **more: object) -> Resource:
    bare: dict[str, Resource] = {
        "Encounter": {"status": "planned", "class": {"code": "VR"}, "subject": subject},
        "CommunicationRequest": {"status": "active", "subject": subject},
        "Task": {"status": "requested", "intent": "order", "for": subject},
        "DocumentReference": {
            "status": "current",
            "subject": subject,
            "content": [{"attachment": {"title": "x"}}],
        },
        "Communication": {
            "status": "completed",
            "subject": subject,
            "payload": [{"contentString": "By telephone"}],
        },
    }
    return {"resourceType": resource_type, **bare[resource_type], **more}


TYPES = ["Encounter", "CommunicationRequest", "Task", "DocumentReference", "Communication"]


@pytest.mark.parametrize("resource_type", TYPES)
def test_a_restricted_chart_takes_no_entries(
    clinic: Clinic, database_url: str, resource_type: str
) -> None:
    assert refusal(clinic.amina.post(about(resource_type, SEALED))) == (403, "forbidden")
    with psycopg.connect(database_url) as connection:
        query = f"SELECT count(*) FROM {resource_type.lower()} WHERE tenant = %s"
        assert connection.execute(query.encode(), [clinic.tenant]).fetchall() == [(0,)]


@pytest.mark.parametrize("resource_type", TYPES)
def test_an_entry_does_not_move_into_or_out_of_a_restricted_chart(
    clinic: Clinic, resource_type: str
) -> None:
    element = "for" if resource_type == "Task" else "subject"
    own = clinic.amina.created(about(resource_type, ZAHRA))
    assert refusal(clinic.amina.put({**own, element: SEALED})) == (403, "forbidden")
    assert clinic.amina.get(reference(own)).json() == own
    signed = {"sender": {"reference": "Practitioner/amina"}}
    more = signed if resource_type == "Communication" else {}
    theirs = clinic.service.created(about(resource_type, SEALED, **more))
    assert refusal(clinic.amina.put({**theirs, element: ZAHRA})) == (403, "forbidden")
    assert refusal(clinic.amina.delete(reference(theirs))) == (403, "forbidden")
    assert clinic.service.get(reference(theirs)).json() == theirs


@pytest.mark.parametrize("resource_type", TYPES)
def test_a_patient_scope_narrows_what_is_written(clinic: Clinic, resource_type: str) -> None:
    scope = f"patient/{resource_type}.cruds"
    narrowed = clinic.person("usr_amina", "DOCTOR", scope, patient="omid")
    assert refusal(narrowed.post(about(resource_type, ZAHRA))) == (403, "forbidden")
    own = narrowed.created(about(resource_type, {"reference": "Patient/omid"}))
    element = "for" if resource_type == "Task" else "subject"
    assert refusal(narrowed.put({**own, element: ZAHRA})) == (403, "forbidden")
    theirs = clinic.amina.created(about(resource_type, ZAHRA))
    assert refusal(narrowed.put({**theirs, element: own[element]})) == (403, "forbidden")
    assert refusal(narrowed.delete(reference(theirs))) == (403, "forbidden")


def test_a_record_is_signed_by_who_writes_it(clinic: Clinic) -> None:
    own = clinic.amina.created(about("Communication", ZAHRA))
    assert own["sender"] == {"reference": "Practitioner/amina"}
    forged = about("Communication", ZAHRA, sender={"reference": "Practitioner/farid"})
    assert refusal(clinic.amina.post(forged)) == (403, "forbidden")
    assert refusal(clinic.farid.put({**own, "status": "entered-in-error"})) == (403, "forbidden")
    stolen = {**own, "sender": {"reference": "Practitioner/farid"}}
    assert refusal(clinic.farid.put(stolen)) == (403, "forbidden")
    assert refusal(clinic.amina.delete(reference(own))) == (403, "forbidden")


@pytest.mark.parametrize("signature", [{}, {"display": "Reminders"}])
@pytest.mark.parametrize(
    ("resource_type", "element"),
    [("Communication", "sender"), ("CommunicationRequest", "requester")],
)
def test_what_nobody_signed_is_the_backends(
    clinic: Clinic, resource_type: str, element: str, signature: Resource
) -> None:
    signed = {element: signature} if signature else {}
    told = clinic.service.created(about(resource_type, ZAHRA, recipient=[ZAHRA], **signed))
    for person in (clinic.zahra, clinic.amina):
        changed = {**told, "recipient": refer("Patient/omid")}
        assert refusal(person.put(changed)) == (403, "forbidden")
    assert clinic.service.get(reference(told)).json() == told


def test_a_record_does_not_turn_into_a_message(clinic: Clinic) -> None:
    header = clinic.amina.created(thread())
    outsider = clinic.person("usr_noor", "DOCTOR")
    own = outsider.created(about("Communication", ZAHRA))
    smuggled = {**own, "partOf": refer(reference(header))}
    assert refusal(outsider.put(smuggled))[0] in {403, 409, 422}
    assert clinic.amina.ids(f"Communication?part-of={reference(header)}") == set()


def test_a_patient_records_in_her_own_name_about_herself(clinic: Clinic) -> None:
    assert clinic.zahra.created(about("Communication", ZAHRA))["sender"] == ZAHRA
    other = about("Communication", {"reference": "Patient/omid"})
    assert refusal(clinic.zahra.post(other)) == (403, "forbidden")
    for resource_type in ("Encounter", "Task", "DocumentReference"):
        assert refusal(clinic.zahra.post(about(resource_type, ZAHRA)))[0] == 403


def test_settings_are_ones_own(clinic: Clinic) -> None:
    basic = {"resourceType": "Basic", "code": {"text": "preferences"}}
    own = clinic.amina.created({**basic, "subject": {"reference": "Practitioner/amina"}})
    other = {**basic, "subject": {"reference": "Practitioner/farid"}}
    assert refusal(clinic.amina.post(other)) == (403, "forbidden")
    assert refusal(clinic.farid.get(reference(own))) == (403, "forbidden")
    assert refusal(clinic.farid.put(own)) == (403, "forbidden")
    assert clinic.farid.ids("Basic") == set()


def test_a_backend_keeps_to_the_rules_of_a_thread(clinic: Clinic) -> None:
    header = clinic.amina.created(thread())
    clinic.amina.put({**header, "status": "completed"})
    late = message(header, id="late", sender={"reference": "Practitioner/amina"})
    assert refusal(clinic.service.put(late)) == (409, "conflict")
    assert refusal(clinic.service.post(late)) == (409, "conflict")


def test_a_request_is_made_in_ones_own_name(clinic: Clinic) -> None:
    own = clinic.amina.created(about("CommunicationRequest", ZAHRA))
    assert own["requester"] == {"reference": "Practitioner/amina"}
    forged = {**about("CommunicationRequest", ZAHRA), "requester": refer("Practitioner/farid")[0]}
    assert refusal(clinic.amina.post(forged)) == (403, "forbidden")
    stolen = {**own, "requester": refer("Practitioner/farid")[0]}
    assert refusal(clinic.farid.put(stolen)) == (403, "forbidden")
    assert refusal(clinic.amina.delete(reference(own))) == (403, "forbidden")


def test_a_thread_is_about_an_encounter_that_its_opener_may_see(clinic: Clinic) -> None:
    unknown = {**thread(), "encounter": {"reference": "Encounter/unknown"}}
    assert refusal(clinic.amina.post(unknown)) == (403, "forbidden")
