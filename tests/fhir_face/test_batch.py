"""Batches over HTTP. https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

from typing import Any

from tests.support.bundles import (
    PATIENT,
    batch,
    bundle,
    by,
    entry,
    organization,
    patient,
    post,
    put,
    record,
    refused,
    statuses,
    transact,
    where,
)
from tests.support.clinic import Clinic, message, thread


def test_everything_in_a_batch_takes_its_parameters(clinic: Clinic) -> None:
    clinic.service.created(record("Patient/zahra"))
    types = {
        "resourceType": "Parameters",
        "parameter": [{"name": "_type", "valueCode": "Communication"}],
    }
    asked, told = batch(
        clinic.service,
        entry("GET", "Patient/zahra/$everything?_type=Communication"),
        entry("POST", "Patient/zahra/$everything", types),
    )
    assert asked["resource"]["entry"] == told["resource"]["entry"]
    assert len(told["resource"]["entry"]) == 1


def test_batch_entries_do_not_know_each_other(clinic: Clinic) -> None:
    found = batch(
        clinic.service,
        post(patient("b"), PATIENT),
        post(record(PATIENT)),
        entry("GET", f"Patient?{by('b')}"),
        entry("GET", "Patient/nobody"),
        put(organization(id="a"), ifMatch='W/"3"'),
        entry("POST", "Patient/$validate", patient()),
        entry("GET", "metadata"),
        entry("POST", "Patient", {"resourceType": "Patient", "gender": "x"}),
        entry("DELETE", "Nothing/1"),
    )
    assert statuses(found) == ["201", "201", "200", "404", "412", "200", "404", "422", "404"]
    assert found[1]["resource"]["subject"]["reference"] == PATIENT
    assert found[2]["resource"]["entry"][0]["resource"]["id"] == found[0]["resource"]["id"]
    assert found[5]["resource"]["resourceType"] == "OperationOutcome"
    issue: Any = found[7]["response"]["outcome"]["issue"][0]
    assert issue["expression"] == ["Bundle.entry[7].resource.gender"]


def test_a_bundle_in_a_bundle(clinic: Clinic) -> None:
    """Its links are its own, and so are the places in it."""
    inner = {**bundle("collection", {"fullUrl": PATIENT, "resource": patient()})}
    found = transact(clinic.service, post(patient(), PATIENT), post(inner))
    assert found[1]["resource"]["entry"] == inner["entry"]
    broken = bundle("collection", {"fullUrl": PATIENT, "resource": patient(gender="x")})
    answer = refused(clinic.service, post(patient(), PATIENT), post(broken))
    assert where(answer) == (422, "Bundle.entry[1].resource.entry[0].resource.gender")


def test_entries_of_a_batch_have_their_own_time(clinic: Clinic) -> None:
    one = organization(id="a")
    found = batch(clinic.service, put(one), put(one), entry("GET", "Organization/a/_history"))
    assert statuses(found) == ["201", "200", "200"]
    first, second = (answer["response"]["lastModified"] for answer in found[:2])
    assert first < second
    assert found[2]["resource"]["total"] == 2


def test_reading_marks_in_a_batch(clinic: Clinic) -> None:
    header = clinic.amina.created(thread("Practitioner/farid"))
    said = clinic.amina.created(message(header))
    parameter = {"name": "message", "valueReference": {"reference": f"Communication/{said['id']}"}}
    body = {"resourceType": "Parameters", "parameter": [parameter]}
    asked = entry("POST", f"Communication/{header['id']}/$mark-read", body)
    assert statuses(batch(clinic.farid, asked)) == ["200"]
    assert clinic.amina.get(f"Communication/{said['id']}").json()["meta"]["versionId"] == "2"
