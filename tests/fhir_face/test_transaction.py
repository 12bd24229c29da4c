"""Transactions over HTTP. https://hl7.org/fhir/R4/http.html#trules"""

from __future__ import annotations

import base64
import json

import pytest

from tests.support.bundles import (
    NURSE,
    PATIENT,
    TALK,
    VISIT,
    bundle,
    by,
    entry,
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
from tests.support.clinic import Clinic, Resource, message, refer, thread


def test_nothing_is_a_transaction_too(clinic: Clinic) -> None:
    assert transact(clinic.service) == []
    for address in ("/fhir/R4", "/fhir/R4/"):
        answer = clinic.service.post(bundle("transaction"), address)
        assert answer.json() == {"resourceType": "Bundle", "type": "transaction-response"}


def test_a_synthea_like_bundle(clinic: Clinic) -> None:
    found = transact(
        clinic.service,
        post(
            {
                "resourceType": "Encounter",
                "status": "finished",
                "class": {"code": "AMB"},
                "subject": {"reference": PATIENT},
                "participant": [{"individual": {"reference": NURSE}}],
            },
            VISIT,
        ),
        post(patient(gender="female"), PATIENT),
        post({"resourceType": "Practitioner", "identifier": [{"value": "n"}]}, NURSE),
        post(
            record(
                PATIENT,
                encounter={"reference": VISIT},
                sender={"reference": NURSE},
                recipient=refer(PATIENT),
            ),
            TALK,
        ),
    )
    assert statuses(found) == ["201"] * 4
    visit, person, nurse, talk = map(id_of, found)
    stored = clinic.service.get(talk).json()
    assert stored["subject"] == stored["recipient"][0] == {"reference": person}
    assert stored["encounter"] == {"reference": visit}
    assert stored["sender"] == {"reference": nurse}
    assert clinic.service.ids(f"Communication?subject={person}") == {talk.partition("/")[2]}
    for answer in found:
        assert answer["response"]["etag"] == 'W/"1"'
        assert answer["response"]["lastModified"] == answer["resource"]["meta"]["lastUpdated"]
        assert answer["fullUrl"].endswith(id_of(answer))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_thread_and_its_messages_at_once(clinic: Clinic, *, backwards: bool) -> None:
    """The rules of a message find the thread that the same Bundle opens."""
    entries = [
        post(thread("Practitioner/farid"), TALK),
        *(
            post(message({"resourceType": "x", "id": "x"}) | {"partOf": refer(TALK)})
            for _ in range(3)
        ),
    ]
    found = transact(clinic.amina, *(entries[::-1] if backwards else entries))
    header, *said = found[::-1] if backwards else found
    for one in said:
        assert one["resource"]["partOf"] == refer(id_of(header))
        assert one["resource"]["recipient"] == refer("Practitioner/farid")
        assert one["resource"]["subject"] == {"reference": "Patient/zahra"}


def test_the_rules_refuse_as_they_do_alone(clinic: Clinic) -> None:
    entries = [
        post(thread("Practitioner/farid"), TALK),
        post(thread(patient="Patient/sealed")),
    ]
    answer = refused(clinic.amina, *entries)
    assert where(answer) == (403, "Bundle.entry[1]")
    assert clinic.amina.ids("Communication") == set()
    wrong = post(thread() | {"status": "wrong"})
    assert where(refused(clinic.amina, entries[0], wrong)) == (
        422,
        "Bundle.entry[1].resource.status",
    )
    assert clinic.amina.ids("Communication") == set()


def test_the_order_is_that_of_the_specification(clinic: Clinic) -> None:
    old = clinic.service.created(organization("1"))
    name = f"Organization/{old['id']}"
    other = clinic.service.created(organization("2"))
    found = transact(
        clinic.service,
        entry("GET", f"Organization?{by('1')}"),
        entry("GET", f"Organization/{other['id']}"),
        put({**other, "name": "South"}),
        post(organization("1", name="East"), ifNoneExist=by("1")),
        entry("DELETE", name),
    )
    assert statuses(found) == ["200", "200", "200", "201", "204"]
    (match,) = found[0]["resource"]["entry"]
    assert match["resource"]["name"] == "East"
    assert found[1]["resource"]["name"] == "South"


def test_patches(clinic: Clinic) -> None:
    first, second = (clinic.service.created(organization(n)) for n in "12")
    operations = [{"op": "replace", "path": "/name", "value": "West"}]
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": data,
    }
    parts = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Organization"},
        {"name": "name", "valueString": "partOf"},
        {"name": "value", "valueReference": {"reference": NURSE}},
    ]
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "operation", "part": parts}],
    }
    found = transact(
        clinic.service,
        entry("PATCH", f"Organization/{first['id']}", binary, ifMatch='W/"1"'),
        entry("PATCH", f"Organization?{by('2')}", parameters),
        post(organization("3"), NURSE),
    )
    assert statuses(found) == ["200", "200", "201"]
    assert found[0]["resource"]["name"] == "West"
    assert found[1]["resource"]["partOf"] == {"reference": id_of(found[2])}
    assert found[1]["resource"]["id"] == second["id"]
    stale = entry("PATCH", f"Organization/{first['id']}", binary, ifMatch='W/"1"')
    assert where(refused(clinic.service, stale)) == (412, "Bundle.entry[0]")


def test_conditions_on_versions(clinic: Clinic) -> None:
    one = clinic.service.created(organization())
    answer = refused(clinic.service, put(one, ifMatch='W/"2"'), post(organization("2")))
    assert where(answer) == (412, "Bundle.entry[0]")
    found = transact(
        clinic.service,
        put({**one, "name": "New"}, ifMatch='W/"1"'),
        entry("GET", f"Organization/{one['id']}", ifNoneMatch='W/"2"'),
        entry("GET", f"Organization/{one['id']}", ifNoneMatch='W/"1"'),
    )
    assert statuses(found) == ["200", "304", "200"]
    assert "resource" not in found[1]


def test_what_the_client_prefers(clinic: Clinic) -> None:
    for prefer, elements in {
        "return=minimal": set[str](),
        "return=representation": {"resource"},
        "return=OperationOutcome": {"outcome"},
    }.items():
        (found,) = transact(clinic.service, post(patient()), prefer=prefer)
        kept = {*found, *found["response"]} & {"resource", "outcome"}
        assert kept == elements
        assert found["response"]["location"].endswith("/_history/1")


SAME: list[list[Resource]] = [
    [entry("DELETE", "Organization/a"), put(organization(id="a"))],
    [put(organization(id="a")), put(organization(id="a"))],
    [put(organization(id="a")), put(organization(), f"Organization?{by('1')}")],
    [entry("DELETE", f"Organization?{by('1')}"), put(organization(id="a"))],
    [post(organization("8")), put(organization("8"), f"Organization?{by('8')}")],
    [put(organization("8"), f"Organization?{by('8')}")] * 2,
    [put(organization(id="a")), put(organization(), "Organization?_id=a")],
]


@pytest.mark.parametrize("entries", SAME)
@pytest.mark.parametrize("backwards", [False, True])
def test_two_entries_about_one_resource(
    clinic: Clinic, entries: list[Resource], *, backwards: bool
) -> None:
    clinic.service.put(organization(id="a"))
    answer = refused(clinic.service, *(entries[::-1] if backwards else entries))
    assert answer.status_code == 400
    assert clinic.service.ids("Organization") == {"a"}
    assert clinic.service.get("Organization/a").json()["meta"]["versionId"] == "1"


def test_what_is_deleted_and_made_again_counts_on(clinic: Clinic) -> None:
    clinic.service.put(organization(id="a"))
    clinic.service.delete("Organization/a")
    entries = [put(organization(n, id=n)) for n in ("a", "b", "c")]
    found = transact(clinic.service, *entries)
    assert statuses(found) == ["201"] * 3
    assert [one["response"]["etag"] for one in found] == ['W/"3"', 'W/"1"', 'W/"1"']


def test_a_read_that_fails_takes_all_back(clinic: Clinic) -> None:
    answer = refused(clinic.service, post(patient("4")), entry("GET", "Patient/nobody"))
    assert where(answer) == (404, "Bundle.entry[1]")
    assert clinic.service.ids(f"Patient?{by('4')}") == set()


def test_scopes_bind_each_entry(clinic: Clinic) -> None:
    writer = clinic.person("usr_service", "SERVICE", "system/Patient.c")
    assert statuses(transact(writer, post(patient()))) == ["201"]
    for more in (
        post(organization()),
        entry("GET", "Patient?name=x"),
        post(patient(), ifNoneExist=by("1")),
        put(patient(id="p")),
        entry("DELETE", "Patient/zahra"),
        post(patient(generalPractitioner=refer("Practitioner?active=true"))),
    ):
        answer = refused(writer, post(patient("new")), more)
        assert where(answer) == (403, "Bundle.entry[1]")
    assert clinic.service.ids(f"Patient?{by('new')}") == set()


def test_a_thousand_entries(clinic: Clinic) -> None:
    entries = [
        post(patient(), PATIENT),
        *(post(record(PATIENT, payload=[{"contentString": f"{n}"}])) for n in range(999)),
    ]
    found = transact(clinic.service, *entries, prefer="return=minimal")
    assert statuses(found) == ["201"] * 1000
    query = f"Communication?subject={id_of(found[0])}&_total=accurate&_count=1"
    assert clinic.service.get(query).json()["total"] == 999
    answer = clinic.service.post(bundle("transaction", *entries, entries[0]), "/fhir/R4")
    assert where(answer) == (413, "Bundle.entry")


def test_no_operations(clinic: Clinic) -> None:
    asked = entry("POST", "Patient/$validate", patient())
    assert where(refused(clinic.service, asked)) == (400, "Bundle.entry[0]")


def test_everything_is_read_as_the_transaction_leaves_it(clinic: Clinic) -> None:
    _, found = transact(
        clinic.service,
        post(record("Patient/zahra")),
        entry("GET", "Patient/zahra/$everything?_type=Communication"),
    )
    assert [one["resource"]["resourceType"] for one in found["resource"]["entry"]] == [
        "Communication"
    ]


def test_an_entry_is_no_longer_than_a_body_by_itself(clinic: Clinic) -> None:
    long = organization("2", name="x" * (2 * 1024 * 1024))
    assert where(refused(clinic.service, post(organization()), post(long))) == (
        413,
        "Bundle.entry[1].resource",
    )
    assert clinic.service.ids("Organization") == set()


def test_other_methods_are_405(clinic: Clinic) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        answer = clinic.service.ask(method, "/fhir/R4")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
