"""$validate over HTTP. https://hl7.org/fhir/R4/resource-operation-validate.html"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clinic import Clinic, Person, Resource, message, refer, refusal, thread

THREAD = "https://fhir.ghasi.af/StructureDefinition/comm-thread"
GOOD: Resource = {"resourceType": "Patient", "gender": "female"}
BAD: Resource = {"resourceType": "Patient", "gender": "zzz"}


def wrapped(resource: Resource, **more: str) -> Resource:
    listed: list[dict[str, Any]] = [{"name": "resource", "resource": resource}]
    listed += [{"name": name, "valueUri": value} for name, value in more.items()]
    return {"resourceType": "Parameters", "parameter": listed}


@pytest.mark.parametrize("shape", [lambda r: r, wrapped])
def test_both_body_shapes(clinic: Clinic, shape: Any) -> None:
    good = clinic.amina.post(shape(GOOD), "Patient/$validate")
    bad = clinic.amina.post(shape(BAD), "Patient/$validate")
    assert (good.status_code, bad.status_code) == (200, 200)
    assert [i["severity"] for i in good.json()["issue"]] == ["information"]
    assert [(i["severity"], i["expression"]) for i in bad.json()["issue"]] == [
        ("error", ["Patient.gender"])
    ]


def test_nothing_is_stored(clinic: Clinic) -> None:
    clinic.amina.post(GOOD, "Patient/$validate")
    assert clinic.service.ids("Patient?gender=female") == set()


def test_a_profile_may_be_asked_for(clinic: Clinic) -> None:
    said = message({"resourceType": "Communication", "id": "x"})
    for body, path in (
        (wrapped(said, profile=THREAD), "Communication/$validate"),
        (said, f"Communication/$validate?profile={THREAD}"),
    ):
        severities = {i["severity"] for i in clinic.amina.post(body, path).json()["issue"]}
        assert "error" in severities


def told(clinic: Clinic, resource: Resource, person: Person | None = None) -> set[str]:
    """The codes of the errors."""
    answer = (person or clinic.amina).post(resource, f"{resource['resourceType']}/$validate")
    assert answer.status_code == 200, answer.text
    return {i["code"] for i in answer.json()["issue"] if i["severity"] in {"error", "fatal"}}


def test_it_tells_what_creating_would(clinic: Clinic) -> None:
    """The rules complete it first, or refuse it."""
    open_thread = clinic.amina.created(thread())
    archived = clinic.amina.created(thread())
    clinic.amina.put({**archived, "status": "completed"})
    cases = [
        thread(),
        thread("Practitioner/nobody"),
        thread(patient="Patient/sealed"),
        thread(status="zzz"),
        message(open_thread),
        message(open_thread, sender={"reference": "Practitioner/farid"}),
        message({"resourceType": "Communication", "id": "none"}),
        message(archived),
    ]
    before = clinic.service.ids("Communication")
    told_of = [told(clinic, case) for case in cases]
    assert clinic.service.ids("Communication") == before
    for case, found in zip(cases, told_of, strict=True):
        answer = clinic.amina.post(case)
        issues = answer.json()["issue"] if answer.status_code >= 400 else ()
        assert found == {issue["code"] for issue in issues}
    assert [bool(found) for found in told_of] == [n not in (0, 4) for n in range(8)]


def test_whoever_may_not_create_it_learns_of_its_shape_only(clinic: Clinic) -> None:
    stored = clinic.amina.created(thread())
    complete = {name: value for name, value in stored.items() if name not in {"id", "meta"}}
    reader = clinic.person("usr_amina", "DOCTOR", "user/*.rs")
    nobody = {"recipient": refer("Practitioner/nobody", "Practitioner/amina")}
    for unknown in (nobody, {"subject": {"reference": "Patient/sealed"}}):
        assert told(clinic, complete | unknown, reader) == set()
        assert told(clinic, complete | unknown) == {"forbidden"}


def test_what_is_stored_is_checked_as_it_stands(clinic: Clinic) -> None:
    stored = clinic.amina.created(thread())
    assert told(clinic, stored, clinic.farid) == set()
    assert told(clinic, {k: v for k, v in stored.items() if k != "sent"}, clinic.farid)


def test_another_type_than_the_address_is_an_error(clinic: Clinic) -> None:
    outcome = clinic.amina.post(GOOD, "Communication/$validate").json()
    assert outcome["issue"][0]["severity"] == "error"


def test_parameters_without_a_resource_are_refused(clinic: Clinic) -> None:
    empty = {"resourceType": "Parameters", "parameter": []}
    assert refusal(clinic.amina.post(empty, "Patient/$validate"))[0] == 400


def test_an_operation_that_is_not_there_is_404(clinic: Clinic) -> None:
    assert refusal(clinic.amina.post(GOOD, "Patient/$nothing")) == (404, "not-supported")


def test_what_validates_is_accepted(clinic: Clinic) -> None:
    whole = {**thread("Practitioner/farid", "Practitioner/amina")}
    whole |= {"sender": {"reference": "Practitioner/amina"}, "sent": "2026-04-18T09:00:00Z"}
    outcome = clinic.amina.post(whole, "Communication/$validate").json()
    assert outcome["issue"][0]["severity"] in {"information", "warning"}
    assert clinic.amina.post(whole).status_code == 201
