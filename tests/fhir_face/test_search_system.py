"""`GET [base]?_type=…` and `POST [base]/_search`. https://hl7.org/fhir/R4/http.html#search"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.clinic import Clinic, Person, message, refusal, thread

FORM = "application/x-www-form-urlencoded"
SELF, NEXT = "self", "next"


def said(clinic: Clinic) -> list[str]:
    """References to a thread, its message and an encounter, in the order they were written."""
    header = clinic.amina.created(thread())
    text = clinic.amina.created(message(header))
    visit = clinic.amina.created({
        "resourceType": "Encounter", "status": "planned", "class": {"code": "VR"},
        "subject": {"reference": "Patient/zahra"},
    })  # fmt: skip
    return [f"{one['resourceType']}/{one['id']}" for one in (header, text, visit)]


def page(person: Person, query: str, **headers: str) -> dict[str, Any]:
    answer = person.get(query, **headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def named(bundle: dict[str, Any]) -> list[str]:
    entries = bundle.get("entry", ())
    return [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries]


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((one["url"] for one in bundle["link"] if one["relation"] == relation), None)


def test_types_are_merged_and_paged(clinic: Clinic) -> None:
    written = said(clinic)
    query = "?_type=Communication,Encounter&_sort=-_lastUpdated&_count=2&_total=accurate"
    first = page(clinic.amina, query)
    assert (first["type"], first["total"]) == ("searchset", 3)
    following = link(first, NEXT)
    assert following
    second = page(clinic.amina, following)
    assert [*named(first), *named(second)] == written[::-1]
    assert link(second, NEXT) is None
    address = link(first, SELF)
    assert address
    assert "/fhir/R4?_type=Communication,Encounter&" in address
    assert named(page(clinic.amina, address)) == named(first)


def test_post_and_head_say_the_same(clinic: Clinic) -> None:
    written = said(clinic)
    form = "_type=Communication,Encounter&_filter=status eq planned or status eq finished"
    answer = clinic.amina.ask("POST", "_search", form.replace(" ", "%20"), content_type=FORM)
    assert set(named(answer.json())) == {written[2]}, answer.text
    refused = clinic.amina.ask("POST", "_search", "{}", content_type="application/json")
    assert refusal(refused) == (415, "not-supported")
    form = "_type=Communication,Encounter&patient=zahra"
    answer = clinic.amina.ask("POST", "_search", form, content_type=FORM)
    assert set(named(answer.json())) == set(written)
    got, head = (clinic.amina.ask(method, "?_type=Encounter") for method in ("GET", "HEAD"))
    assert head.headers["content-length"] == got.headers["content-length"]


def test_without_types_all_that_is_seen(clinic: Clinic) -> None:
    written = said(clinic)
    everything = named(page(clinic.amina, "?_count=1000"))
    assert set(written) < set(everything)
    assert {"Patient/zahra", "Practitioner/farid"} < set(everything)
    assert "Patient/sealed" not in everything
    assert "Patient/sealed" in named(page(clinic.service, "?_count=1000&_type=Patient"))
    assert named(page(clinic.zahra, "?_type=Patient,AuditEvent")) == ["Patient/zahra"]


def test_includes_are_marked(clinic: Clinic) -> None:
    said(clinic)
    found = page(clinic.amina, "?_type=Encounter&_include=*&_revinclude=Communication:encounter")
    modes = {named({"entry": [e]})[0]: e["search"]["mode"] for e in found["entry"]}
    assert modes.pop("Patient/zahra") == "include"
    assert set(modes.values()) == {"match"}


def test_scopes_bind_each_type(clinic: Clinic) -> None:
    said(clinic)
    person = clinic.person("usr_amina", "DOCTOR", "user/Encounter.rs user/Patient.r")
    assert {name.partition("/")[0] for name in named(page(person, "?_count=100"))} == {"Encounter"}
    assert refusal(person.get("?_type=Encounter,Communication")) == (403, "forbidden")
    included = named(page(person, "?_type=Encounter&_include=Encounter:subject"))
    assert not any(name.startswith("Patient") for name in included)
    nothing = clinic.person("usr_amina", "DOCTOR", "user/Patient.r")
    assert refusal(nothing.get("?_lastUpdated=gt2020")) == (403, "forbidden")
    part = clinic.person("usr_amina", "DOCTOR", "user/Encounter.rs?status=finished")
    assert named(page(part, "?_type=Encounter")) == []


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("?_type=Nonsense", "not-supported", "_type: the type Nonsense is not served"),
        ("?_type=ValueSet", "not-supported", "_type: the type ValueSet is not served"),
        ("?_type=", "value", "_type: no value"),
        ("?_type=Patient&_type=Encounter", "invalid", "_type is given once, as a list"),
        ("?_type=Patient,Encounter&birthdate=1980", "not-supported", "Encounter has no search"),
        ("?status=completed", "not-supported", "Patient has no search parameter status"),
        ("?_type=Patient,Encounter&_sort=name", "not-supported", "several types are sorted by"),
        ("?_type=Patient&_count=x", "value", "_count is not a whole number"),
        ("?_type=Patient&_cursor=x", "value", "_cursor is not a cursor of this search"),
        ("?_type=Patient&_filter=active is true", "invalid", "_filter at 8: expected an operator"),
        ("Communication?_filter=sent gt", "invalid", "_filter at 8: expected a space and a value"),
        ("Communication?_filter=sent gt x", "value", "_filter at 9: sent: not a date"),
        ("Communication?_list=$current-problems", "not-supported", "_list: functional lists"),
    ],
)
def test_what_is_wrong_is_named(clinic: Clinic, query: str, code: str, said: str) -> None:
    answer = clinic.service.get(query)
    assert refusal(answer) == (400, code)
    diagnostics = answer.json()["issue"][0]["diagnostics"]
    assert said in diagnostics


def test_lenient_leaves_out_what_a_type_lacks(clinic: Clinic) -> None:
    query = "?_type=Patient,Encounter&birthdate=1980&_filter=nonsense eq 1&_id=zahra"
    found = page(clinic.amina, query, prefer="handling=lenient")
    assert named(found) == ["Patient/zahra"]
    address = link(found, SELF)
    assert address
    assert address.endswith("/fhir/R4?_type=Patient,Encounter&_id=zahra")


def test_a_filter_and_a_list_by_http(clinic: Clinic) -> None:
    header, text, _ = said(clinic)
    query = f'Communication?_filter=part-of re {header} and patient eq "Patient/zahra"'
    found = page(clinic.amina, query)
    assert named(found) == [text]
    address = link(found, SELF)
    assert address
    assert named(page(clinic.amina, address)) == [text]
    entries = [{"item": {"reference": text}}, {"item": {"reference": header}, "deleted": True}]
    kept = clinic.amina.created({
        "resourceType": "List", "status": "current", "mode": "changes", "entry": entries,
        "source": {"reference": "Practitioner/amina"},
    })  # fmt: skip
    query = f"Communication?_list={kept['id']}"
    assert named(page(clinic.amina, query)) == [text]
    assert named(page(clinic.farid, query)) == []
    assert clinic.farid.get(f"List/{kept['id']}").status_code in {403, 404}


def test_it_needs_a_token_and_json(clinic: Clinic, client: httpx.Client) -> None:
    assert refusal(client.get("/fhir/R4?_type=Patient")) == (401, "login")
    assert refusal(clinic.service.get("", accept="text/html")) == (406, "not-supported")
    assert refusal(clinic.service.ask("PUT", "")) == (405, "not-supported")
    assert refusal(clinic.service.get("_search")) == (405, "not-supported")


def test_capability_says_so(client: httpx.Client) -> None:
    rest = client.get("/fhir/R4/metadata").json()["rest"][0]
    assert {"code": "search-system"} in rest["interaction"]
    assert {one["name"] for one in rest["searchParam"]} == {"_filter", "_has", "_list", "_type"}
    assert "List" in {one["type"] for one in rest["resource"]}
