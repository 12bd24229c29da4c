"""/metadata says exactly what works for the published types: all that it claims is asked, and some
of what it does not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fhir_server.definitions.facts import PUBLISHED_TYPES, load_facts
from fhir_server.terminology.service import OPERATIONS
from tests.support.clinic import Clinic, refusal

CONTROLS = ("_count=1", "_total=accurate", "_sort=-name", "_format=json")
QUESTIONS = {
    ("ValueSet", "expand"): "url=http://hl7.org/fhir/ValueSet/request-priority",
    ("ValueSet", "validate-code"): "url=http://hl7.org/fhir/ValueSet/request-priority&code=stat",
    ("CodeSystem", "lookup"): "system=http://hl7.org/fhir/request-priority&code=stat",
    ("CodeSystem", "validate-code"): "url=http://hl7.org/fhir/request-priority&code=stat",
    ("ConceptMap", "translate"): "url=https://fhir.ghasi.af/ConceptMap/urgency&code=urgent",
}


@pytest.fixture
def claimed(client: httpx.Client) -> dict[str, Any]:
    listed = client.get("/fhir/R4/metadata").json()["rest"][0]["resource"]
    return {one["type"]: one for one in listed if one["type"] in PUBLISHED_TYPES}


def test_every_published_type_is_claimed(claimed: dict[str, Any]) -> None:
    assert set(claimed) == set(PUBLISHED_TYPES)
    for resource in claimed.values():
        assert {i["code"] for i in resource["interaction"]} == {"read", "search-type"}


def test_each_resource_can_be_read_and_found(clinic: Clinic, claimed: dict[str, Any]) -> None:
    for name in claimed:
        listed = clinic.amina.get(f"{name}?_count=1000").json()["entry"]
        assert listed
        for entry in listed:
            found = entry["resource"]
            assert clinic.amina.get(entry["fullUrl"]).json() == found
            assert clinic.amina.ids(f"{name}?url={found['url']}") == {found["id"]}


def test_each_claimed_parameter_finds_and_misses(clinic: Clinic, claimed: dict[str, Any]) -> None:
    for name, resource in claimed.items():
        whole = clinic.amina.ids(f"{name}?_count=1000")
        for parameter in resource["searchParam"]:
            code = parameter["name"]
            present = clinic.amina.ids(f"{name}?{code}:missing=false&_count=1000")
            absent = clinic.amina.ids(f"{name}?{code}:missing=true&_count=1000")
            assert present | absent == whole
            assert not present & absent
            assert clinic.amina.ids(f"{name}?{code}=nothing-is-called-so") == set()


def test_claimed_definitions_are_the_official_ones(claimed: dict[str, Any]) -> None:
    facts = load_facts()
    for name, resource in claimed.items():
        for parameter in resource["searchParam"]:
            official = facts.search_parameters[name][parameter["name"]]
            assert (official["url"], official["type"]) == (
                parameter["definition"],
                parameter["type"],
            )


@pytest.mark.parametrize("control", CONTROLS)
def test_the_usual_controls(clinic: Clinic, claimed: dict[str, Any], control: str) -> None:
    for name in claimed:
        assert clinic.amina.get(f"{name}?{control}").status_code == 200


def test_each_claimed_operation_answers(clinic: Clinic, claimed: dict[str, Any]) -> None:
    operations = {
        (name, operation["name"]): operation["definition"]
        for name, resource in claimed.items()
        for operation in resource.get("operation", ())
    }
    assert operations.keys() == QUESTIONS.keys() == OPERATIONS.keys()
    for (name, operation), query in QUESTIONS.items():
        answer = clinic.amina.get(f"{name}/${operation}?{query}")
        assert answer.status_code == 200, answer.text
        official = "http://hl7.org/fhir/OperationDefinition/"
        assert operations[name, operation] == f"{official}{name}-{operation}"


def test_each_operation_that_can_is_asked_of_one_resource(clinic: Clinic) -> None:
    asked = {
        "ValueSet/urgency/$expand": 200,
        "ValueSet/urgency/$validate-code?code=urgent": 200,
        "CodeSystem/urgency/$validate-code?code=urgent": 200,
        "ConceptMap/urgency/$translate?code=urgent": 200,
        "CodeSystem/urgency/$lookup?code=urgent": 404,
        "ValueSet/none/$expand": 404,
    }
    for path, status in asked.items():
        assert clinic.amina.get(path).status_code == status, path


def test_versions_is_claimed_and_answers(client: httpx.Client) -> None:
    statement = client.get("/fhir/R4/metadata").json()
    assert [o["name"] for o in statement["rest"][0]["operation"]] == ["versions"]
    for answer in (client.get("/fhir/R4/$versions"), client.post("/fhir/R4/$versions")):
        told = {p["name"]: p["valueCode"] for p in answer.json()["parameter"]}
        assert told == {"version": "4.0", "default": "4.0"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "ValueSet", 405),
        ("PUT", "ValueSet/urgency", 405),
        ("DELETE", "ValueSet/urgency", 405),
        ("PATCH", "ValueSet/urgency", 405),
        ("GET", "ValueSet/urgency/_history", 404),
        ("GET", "ValueSet/urgency/_history/1", 404),
        ("GET", "ValueSet/$lookup", 404),
        ("GET", "ConceptMap/$closure", 404),
        ("GET", "CodeSystem/$subsumes", 404),
        ("POST", "StructureDefinition/$validate", 404),
        ("GET", "StructureDefinition/$snapshot", 404),
        ("GET", "StructureDefinition/a_b", 404),
        ("GET", "CompartmentDefinition", 404),
        ("GET", "NamingSystem", 404),
    ],
)
def test_what_is_not_claimed_is_refused(
    clinic: Clinic, method: str, path: str, status: int
) -> None:
    answer = clinic.service.ask(method, path, "{}", content_type="application/fhir+json")
    assert refusal(answer)[0] == status
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    "query",
    ["foo=1", "date=2026", "url:exact=http://x", "_include=*", "_sort=foo", "_lastUpdated=2026"],
)
def test_an_unknown_parameter_is_400_unless_lenient(clinic: Clinic, query: str) -> None:
    path = f"ValueSet?{query}"
    assert refusal(clinic.amina.get(path)) == (400, "not-supported")
    assert clinic.amina.get(path, prefer="handling=lenient").status_code == 200


def test_urls_lie_above_and_below_one_another(clinic: Clinic) -> None:
    whole = clinic.amina.ids("ValueSet?_count=1000")
    assert clinic.amina.ids("ValueSet?url:below=https://fhir.ghasi.af/ValueSet/") == whole
    assert clinic.amina.ids("ValueSet?url:below=https://fhir.ghasi.af/Value") == set()
    below = "https://fhir.ghasi.af/ValueSet/urgency/more"
    assert clinic.amina.ids(f"ValueSet?url:above={below}") == {"urgency"}
