"""What entries of a transaction refer to. https://hl7.org/fhir/R4/http.html#trules"""

from __future__ import annotations

import pytest

from tests.support.bundles import (
    NURSE,
    PATIENT,
    SYSTEM,
    TALK,
    by,
    id_of,
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
from tests.support.clinic import Clinic


def test_links_are_replaced_wherever_a_link_may_stand(clinic: Clinic) -> None:
    """Of the bugs of other servers: nested extensions, parts of longer texts, values that are no
    links, canonicals."""
    image = "urn:uuid:e1b2c3d4-0000-4000-8000-000000000000"
    contained = organization(id="in", partOf={"reference": TALK})
    inner = {"url": "https://example.org/in", "valueReference": {"reference": PATIENT}}
    outer = {"url": "https://example.org/out", "extension": [inner]}
    uri = {"url": "https://example.org/uri", "valueUri": PATIENT}
    canonical = {"url": "https://example.org/c", "valueCanonical": PATIENT}
    text = {"url": "https://example.org/s", "valueString": PATIENT}
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{PATIENT}">{PATIENT}</a></div>'
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "text": {"status": "generated", "div": div},
        "contained": [contained],
        "custodian": {"reference": "#in"},
        "extension": [outer, uri, canonical, text],
        "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": PATIENT},
        "subject": {"reference": PATIENT},
        "context": {"related": [{"reference": f"{PATIENT}-and-more"}]},
        "content": [{"attachment": {"url": image, "title": image}}],
    }
    found = transact(
        clinic.service,
        post(document),
        post(patient(), PATIENT),
        post({"resourceType": "Binary", "contentType": "image/png", "data": "AAAA"}, image),
        post(organization(), TALK),
    )
    stored, person, picture = found[0]["resource"], id_of(found[1]), id_of(found[2])
    link = {"reference": person}
    assert stored["subject"] == link
    assert stored["extension"][0]["extension"][0]["valueReference"] == link
    assert stored["extension"][1]["valueUri"] == person
    assert stored["extension"][2]["valueCanonical"] == PATIENT
    assert stored["extension"][3]["valueString"] == PATIENT
    assert stored["masterIdentifier"]["value"] == PATIENT
    assert stored["context"]["related"][0]["reference"] == f"{PATIENT}-and-more"
    assert stored["content"][0]["attachment"] == {"url": picture, "title": image}
    assert stored["contained"][0]["partOf"] == {"reference": id_of(found[3])}
    assert f'<a href="{person}">{PATIENT}</a>' in stored["text"]["div"]


def test_full_urls_that_are_addresses(clinic: Clinic) -> None:
    base = "http://other.example/fhir"
    found = transact(
        clinic.service,
        post(patient(), f"{base}/Patient/7"),
        post(record("Patient/7"), f"{base}/Communication/8"),
        post(record(f"{base}/Patient/7")),
        post(record(f"{base}/Patient/7/_history/4")),
        post(record("Patient/7")),
    )
    person = id_of(found[0])
    subjects = [one["resource"]["subject"]["reference"] for one in found[1:]]
    # A relative reference is relative to the address of what holds it.
    assert subjects == [person, person, f"{person}/_history/1", "Patient/7"]


def test_two_entries_of_one_full_url(clinic: Clinic) -> None:
    answer = refused(clinic.service, post(patient(), PATIENT), post(patient("2"), PATIENT))
    assert where(answer) == (400, "Bundle.entry[1]")
    assert clinic.service.ids(f"Patient?{by('1')}") == set()


def test_the_same_condition_twice_creates_one(clinic: Clinic) -> None:
    """hapi-fhir 2933, medplum 6102."""
    entries = [
        post(organization("7"), NURSE, ifNoneExist=by("7")),
        post(organization("7"), TALK, ifNoneExist=f"Organization?{by('7')}"),
        post(patient(managingOrganization={"reference": NURSE})),
        post(patient(managingOrganization={"reference": TALK})),
    ]
    found = transact(clinic.service, *entries)
    assert statuses(found) == ["201", "200", "201", "201"]
    assert id_of(found[0]) == id_of(found[1])
    assert len(clinic.service.ids(f"Organization?{by('7')}")) == 1
    for one in found[2:]:
        assert one["resource"]["managingOrganization"]["reference"] == id_of(found[0])
    again = transact(clinic.service, *entries)
    assert statuses(again) == ["200", "200", "201", "201"]
    assert again[2]["resource"]["managingOrganization"]["reference"] == id_of(found[0])


def test_a_condition_that_names_another_entry(clinic: Clinic) -> None:
    """hapi-fhir 5651."""
    task = {"resourceType": "Task", "status": "draft", "intent": "order"}
    entries = [
        post(patient(), PATIENT),
        post(task | {"for": {"reference": PATIENT}}, ifNoneExist=f"subject={PATIENT}"),
    ]
    assert statuses(transact(clinic.service, *entries)) == ["201", "201"]


def test_conditional_updates_are_referred_to(clinic: Clinic) -> None:
    """microsoft/fhir-server 1174 and 1175, LinuxForHealth 2769."""
    entries = [
        put(patient(managingOrganization={"reference": NURSE}), f"Patient?{by('1')}", PATIENT),
        put(organization("9"), f"Organization?{by('9')}", NURSE),
        post(record(f"Patient?{by('1')}")),
        post(record(PATIENT)),
    ]
    found = transact(clinic.service, *entries)
    assert statuses(found) == ["201"] * 4
    again = transact(clinic.service, *entries)
    assert statuses(again) == ["200", "200", "201", "201"]
    for one, other in ((found, again), (again, found)):
        assert id_of(one[0]) == id_of(other[0])
        assert one[0]["resource"]["managingOrganization"]["reference"] == id_of(other[1])
        for made in one[2:]:
            assert made["resource"]["subject"]["reference"] == id_of(other[0])


def test_a_conditional_reference_means_one_resource(clinic: Clinic) -> None:
    clinic.service.created(patient("5"))
    asked = f"Patient?{by('5')}"
    found = transact(clinic.service, post(record(asked)))
    assert clinic.service.ids(f"Communication?subject:Patient.{by('5')}") == {
        id_of(found[0]).partition("/")[2]
    }
    answer = refused(clinic.service, post(record(f"Patient?{by('6')}")))
    assert where(answer) == (412, "Bundle.entry[0]")
    clinic.service.created(patient("5"))
    answer = refused(clinic.service, post(record(asked)))
    assert where(answer) == (412, "Bundle.entry[0]")


def test_a_conditional_reference_sees_what_the_bundle_makes_of_it(clinic: Clinic) -> None:
    """It is resolved last: https://hl7.org/fhir/R4/http.html#trules."""
    asked = f"Patient?{by('3')}"
    found = transact(clinic.service, post(record(asked)), post(patient("3")))
    assert found[0]["resource"]["subject"]["reference"] == id_of(found[1])
    before = clinic.service.ids("Communication")
    answer = refused(clinic.service, post(record(asked)), post(patient("3")))
    assert answer.status_code == 412
    assert clinic.service.ids("Communication") == before


def test_a_conditional_reference_finds_what_the_caller_may_see(clinic: Clinic) -> None:
    sealed = clinic.service.get("Patient/sealed").json()
    clinic.service.put({**sealed, "identifier": [{"system": SYSTEM, "value": "s"}]})
    asked = post(record(f"Patient?{by('s')}"))
    assert where(refused(clinic.amina, asked)) == (412, "Bundle.entry[0]")
    assert statuses(transact(clinic.service, asked)) == ["201"]


@pytest.mark.parametrize(
    "criteria", ["", "nothing=1", "_count=1", "identifier=", "_sort=name", "name=%FF"]
)
def test_a_conditional_reference_needs_criteria(clinic: Clinic, criteria: str) -> None:
    answer = refused(clinic.service, post(record(f"Patient?{criteria}")))
    assert answer.status_code in (400, 422)
    assert clinic.service.ids("Communication") == set()
