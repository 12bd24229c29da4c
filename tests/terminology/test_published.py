"""Searching the declared definitions, and who may."""

from __future__ import annotations

import httpx
import pytest

from fhir_server.declared import declared_root
from tests.support.clinic import Clinic, refusal

URL = "https://fhir.ghasi.af"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("StructureDefinition?type=Encounter", {"encounter-vr"}),
        ("StructureDefinition?name:exact=none", set()),
        (f"StructureDefinition?url={URL}/StructureDefinition/comm-thread", {"comm-thread"}),
        ("StructureDefinition?abstract=true", set()),
        ("StructureDefinition?_id=comm-thread,comm-message", {"comm-thread", "comm-message"}),
        ("SearchParameter?base=Communication&code=topic", {"Communication-topic"}),
        ("SearchParameter?type:not=token&code=priority", set()),
        ("ValueSet?name=urg&status=active", {"urgency"}),
        ("ValueSet?name:contains=GENC", {"urgency"}),
        ("ValueSet?name=gency", set()),
        ("ValueSet?version=1.0.0&reference=http://hl7.org/fhir/event-status",
         {"conversation-status"}),
        ("CodeSystem?code=emergent", {"urgency"}),
        ("CodeSystem?code=|emergent", {"urgency"}),
        ("CodeSystem?code=http://elsewhere|emergent", set()),
        ("ConceptMap?target-code=stat", {"urgency"}),
        (f"ConceptMap?source-uri={URL}/ValueSet/urgency", {"urgency"}),
        ("OperationDefinition?code=mark-read&instance=true", {"Communication-mark-read"}),
    ],
)  # fmt: skip
def test_a_search_finds(clinic: Clinic, query: str, ids: set[str]) -> None:
    assert clinic.amina.ids(query) == ids


def test_a_base_may_have_a_version_or_not(clinic: Clinic) -> None:
    base = "http://hl7.org/fhir/StructureDefinition/Communication"
    assert clinic.amina.ids(f"StructureDefinition?base={base}") == {"comm-thread", "comm-message"}


def test_pages_are_the_whole_in_order(clinic: Clinic) -> None:
    declared = len(list(declared_root().glob("profiles/SearchParameter-*.json")))
    path, found = "SearchParameter?_count=2&_sort=-code&_total=accurate", []
    while path:
        bundle = clinic.amina.get(path).json()
        assert bundle["total"] == declared
        found += [entry["resource"]["code"] for entry in bundle["entry"]]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        path = links.get("next", "")
    assert found == sorted(found, reverse=True)
    assert len(found) == declared


def test_a_form_searches_too(clinic: Clinic) -> None:
    form = "application/x-www-form-urlencoded"
    answer = clinic.amina.ask("POST", "ValueSet/_search", "name=urg", content_type=form)
    assert [e["resource"]["id"] for e in answer.json()["entry"]] == ["urgency"]


@pytest.mark.parametrize(
    "query",
    ["_count=x", "_cursor=x", "_cursor=-1", "status=", "status:missing=x", "name=a%00b",
     "_total=some", "_sort=a,b,c,d,e,f"],
)  # fmt: skip
def test_a_bad_value_is_400(clinic: Clinic, query: str) -> None:
    assert refusal(clinic.amina.get(f"ValueSet?{query}"))[0] == 400


def test_the_count_alone(clinic: Clinic) -> None:
    bundle = clinic.amina.get("ConceptMap?_summary=count").json()
    declared = len(list(declared_root().glob("profiles/ConceptMap-*.json")))
    assert (bundle["total"], "entry" in bundle) == (declared, False)


def test_head_has_no_body(clinic: Clinic) -> None:
    answer = clinic.amina.ask("HEAD", "ValueSet/urgency")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("scope", ["user/*.rs", "user/ValueSet.read", "user/*.read"])
def test_a_scope_that_reads_suffices(clinic: Clinic, scope: str) -> None:
    person = clinic.person("usr_x", "NURSE", scope)
    assert person.get("ValueSet/urgency").status_code == 200
    assert person.get("ValueSet/urgency/$expand").status_code == 200
    assert person.ids("ValueSet?name=urg") == {"urgency"}


def test_a_patients_app_may_read_too(clinic: Clinic) -> None:
    person = clinic.person("pat_zahra", "PATIENT", "patient/*.rs", patient="pat_zahra")
    assert person.get("CodeSystem/urgency").status_code == 200
    assert person.get("ValueSet/$expand?url=https://fhir.ghasi.af/ValueSet/urgency").is_success


@pytest.mark.parametrize("scope", ["user/Patient.rs", "messaging:read", "user/ValueSet.cud"])
def test_without_it_403(clinic: Clinic, scope: str) -> None:
    person = clinic.person("usr_x", "NURSE", scope)
    for path in ("ValueSet", "ValueSet/urgency", "ValueSet/urgency/$expand"):
        assert refusal(person.get(path)) == (403, "forbidden")


def test_a_scope_may_narrow(clinic: Clinic) -> None:
    person = clinic.person("usr_x", "NURSE", "user/ValueSet.rs?name=Urgency")
    assert person.ids("ValueSet") == {"urgency"}
    assert person.get("ValueSet/urgency").status_code == 200
    assert refusal(person.get("ValueSet/thread-state")) == (404, "not-found")
    assert refusal(person.get("ValueSet/urgency/$expand")) == (403, "forbidden")


def test_without_a_token_401(client: httpx.Client) -> None:
    for path in ("ValueSet", "ValueSet/urgency", "ValueSet/$expand", "StructureDefinition"):
        assert refusal(client.get(f"/fhir/R4/{path}")) == (401, "login")
