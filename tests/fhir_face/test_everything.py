"""$everything over HTTP. https://hl7.org/fhir/R4/patient-operation-everything.html"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.clinic import Clinic, Person, Resource, message, reference, refusal, thread

URL = "Patient/zahra/$everything"


def listed(bundle: Resource, mode: str = "match") -> list[str]:
    """`Type/id` of the entries of one kind."""
    entries = bundle.get("entry", ())
    return [reference(e["resource"]) for e in entries if e["search"]["mode"] == mode]


def asked(person: Person, path: str) -> Resource:
    answer = person.get(path)
    assert answer.status_code == 200, answer.text
    found: Resource = answer.json()
    assert (found["resourceType"], found["type"]) == ("Bundle", "searchset")
    return found


def paged(person: Person, path: str) -> tuple[list[str], set[str]]:
    """All records in order, and all that supports them."""
    records: list[str] = []
    supporting: set[str] = set()
    while path:
        bundle = asked(person, path)
        records += listed(bundle)
        supporting |= set(listed(bundle, "include"))
        path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    return records, supporting


def chart(clinic: Clinic) -> dict[str, str]:
    """What is kept about zahra: what of it each name stands for."""
    care = {
        "status": "finished",
        "class": {"code": "VR"},
        "subject": {"reference": "Patient/zahra"},
    }
    ward = clinic.service.created({"resourceType": "Location", "name": "Ward"})
    visit = clinic.service.created({
        "resourceType": "Encounter", **care, "period": {"start": "2026-01-10", "end": "2026-01-20"},
        "location": [{"location": {"reference": reference(ward)}}],
        "participant": [{"individual": {"reference": "Practitioner/sami"}}],
    })  # fmt: skip
    later = clinic.service.created(
        {"resourceType": "Encounter", **care, "period": {"start": "2026-03-01"}}
    )
    talk = clinic.amina.created(
        thread("Practitioner/farid", encounter={"reference": reference(visit)})
    )
    said = clinic.amina.created(message(talk))
    with_her = clinic.amina.created(thread("Patient/zahra"))
    other = clinic.amina.created(thread(patient="Patient/omid"))
    names = {"ward": ward, "visit": visit, "later": later, "talk": talk, "said": said}
    found = names | {"with_her": with_her, "other": other}
    return {name: reference(resource) for name, resource in found.items()}


def test_the_patient_comes_first_then_all_that_is_about_her(clinic: Clinic) -> None:
    chart_of = chart(clinic)
    bundle = asked(clinic.amina, URL)
    about = {chart_of[name] for name in ("visit", "later", "talk", "said", "with_her")}
    assert listed(bundle)[0] == "Patient/zahra"
    assert set(listed(bundle)[1:]) == about
    assert bundle["total"] == len(about) + 1
    people = {"Practitioner/amina", "Practitioner/farid", "Practitioner/sami"}
    assert set(listed(bundle, "include")) == {*people, chart_of["ward"]}
    assert bundle["link"] == [{"relation": "self", "url": bundle["link"][0]["url"]}]
    assert bundle["link"][0]["url"].endswith(URL)


def test_an_encounter_brings_its_patient_along(clinic: Clinic) -> None:
    chart_of = chart(clinic)
    bundle = asked(clinic.amina, f"{chart_of['visit']}/$everything")
    assert listed(bundle) == [chart_of["visit"], *sorted((chart_of["talk"], chart_of["said"]))]
    people = {"Practitioner/amina", "Practitioner/farid", "Practitioner/sami"}
    assert set(listed(bundle, "include")) == {*people, chart_of["ward"], "Patient/zahra"}


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_pages_are_the_whole(clinic: Clinic, count: int) -> None:
    chart(clinic)
    whole = asked(clinic.amina, URL)
    records, supporting = paged(clinic.amina, f"{URL}?_count={count}")
    assert records == listed(whole)
    assert supporting == set(listed(whole, "include"))


def test_a_patient_does_not_see_what_the_care_team_says(clinic: Clinic) -> None:
    chart_of = chart(clinic)
    records, supporting = paged(clinic.zahra, f"{URL}?_count=2")
    assert set(records) == {"Patient/zahra", *(chart_of[n] for n in ("visit", "later", "with_her"))}
    assert "Practitioner/farid" not in supporting
    assert refusal(clinic.zahra.get("Patient/omid/$everything"))[0] == 403


def test_a_closed_chart_stays_closed(clinic: Clinic) -> None:
    clinic.service.created(thread("Practitioner/farid", patient="Patient/sealed") | {
        "sender": {"reference": "Practitioner/farid"},
    })  # fmt: skip
    assert refusal(clinic.amina.get("Patient/sealed/$everything"))[0] == 403
    assert refusal(clinic.amina.get("Patient/nobody/$everything"))[0] == 404
    assert len(listed(asked(clinic.service, "Patient/sealed/$everything"))) == 2


def test_another_tenant_has_nothing_of_it(clinic: Clinic, new_clinic: Any) -> None:
    chart_of = chart(clinic)
    other = new_clinic()
    assert listed(asked(other.service, URL)) == ["Patient/zahra"]
    assert refusal(other.service.get(f"{chart_of['visit']}/$everything"))[0] == 404


def test_scopes_bind_each_type(clinic: Clinic) -> None:
    chart_of = chart(clinic)
    some = clinic.person("usr_amina", "DOCTOR", "user/Patient.rs user/Encounter.rs")
    bundle = asked(some, URL)
    visits = sorted((chart_of["visit"], chart_of["later"]))
    assert listed(bundle) == ["Patient/zahra", *visits]
    assert listed(bundle, "include") == []
    without = clinic.person("usr_amina", "DOCTOR", "user/Encounter.rs")
    assert refusal(without.get(URL))[0] == 403
    assert clinic.amina.get(URL).status_code == 200


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("_type=Encounter", ["visit", "later"]),
        ("_type=Encounter,Communication&start=2026-02", ["later", "talk", "said", "with_her"]),
        ("_type=Encounter&start=2026-01-15&end=2026-01-16", ["visit"]),
        ("_type=Encounter&end=2026-01-09", []),
        ("_type=Encounter&start=2026-01-20&end=2026-03", ["visit", "later"]),
        ("_type=Encounter&_type=Location&end=2026-02", ["visit", "ward"]),
        ("_type=Encounter&_since=2126-01-01T00:00:00Z", []),
        ("_type=Encounter&_since=2020-01-01T00:00:00%2B00:00", ["visit", "later"]),
    ],
)
def test_types_and_times_narrow_it(clinic: Clinic, query: str, names: list[str]) -> None:
    chart_of = chart(clinic)
    bundle = asked(clinic.amina, f"{URL}?{query}")
    assert {*listed(bundle), *listed(bundle, "include")} == {chart_of[name] for name in names}


def test_get_and_post_mean_the_same(clinic: Clinic) -> None:
    chart(clinic)
    by_get = asked(clinic.amina, f"{URL}?_type=Encounter,Location&_count=1&start=2026-01-01")
    given: list[Resource] = [
        {"name": "_type", "valueCode": "Encounter"},
        {"name": "_type", "valueCode": "Location"},
        {"name": "_count", "valueInteger": 1},
        {"name": "start", "valueDate": "2026-01-01"},
    ]
    body = {"resourceType": "Parameters", "parameter": given}
    by_post = clinic.amina.post(body, URL)
    assert by_post.status_code == 200, by_post.text
    assert by_post.json().get("entry") == by_get.get("entry")
    following = next(link["url"] for link in by_post.json()["link"] if link["relation"] == "next")
    wanted = paged(clinic.amina, by_get["link"][0]["url"])
    assert paged(clinic.amina, following) == wanted
    assert (len(wanted[0]), len(wanted[1])) == (2, 1)
    assert clinic.amina.ask("POST", URL).json()["total"] > 0


@pytest.mark.parametrize(
    "query",
    [
        "foo=1", "_sort=date", "_count=-1", "_count=x", "_count=1&_count=2", "start=yesterday",
        "start=2026-01-01T00:00:00Z", "start=ge2026", "end=2026-13", "end=", "_since=x", "_since=",
        "_type=Nothing", "_type=", "_type=Patient,", "_cursor=x", "start=a&start=b",
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_400(clinic: Clinic, query: str) -> None:
    assert refusal(clinic.amina.get(f"{URL}?{query}"))[0] == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"resourceType": "Patient"}, 400),
        ({"resourceType": "Parameters", "parameter": [{"name": "foo", "valueString": "x"}]}, 400),
        ({"resourceType": "Parameters", "parameter": [{"name": "start"}]}, 422),
        ({"resourceType": "Parameters", "parameter": [{"name": "start", "valueInteger": 1}]}, 400),
        (
            {"resourceType": "Parameters", "parameter": [{"name": "_count", "valueInteger": -1}]},
            400,
        ),
        ({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueInteger": 1}]}, 400),
        ({"resourceType": "Parameters", "parameter": [{"valueInteger": 1}]}, 422),
    ],
)
def test_a_wrong_body_is_refused(clinic: Clinic, body: Resource, status: int) -> None:
    assert refusal(clinic.amina.post(body, URL))[0] == status


def test_an_encounter_has_no_dates_of_care_to_choose_by(clinic: Clinic) -> None:
    visit = chart(clinic)["visit"]
    assert refusal(clinic.amina.get(f"{visit}/$everything?start=2026"))[0] == 400


def test_a_cursor_is_worth_nothing_elsewhere(clinic: Clinic) -> None:
    chart(clinic)
    first = asked(clinic.amina, f"{URL}?_count=1")
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    assert refusal(clinic.farid.get(following))[0] == 400
    assert refusal(clinic.amina.get(following.replace("zahra", "omid")))[0] == 400
    assert refusal(clinic.amina.get(f"{following}&_type=Patient"))[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PUT", URL, 405, "GET, HEAD, POST"),
        ("GET", "Communication/x/$mark-read", 405, "POST"),
        ("GET", "Patient/$validate", 405, "POST"),
        ("GET", "Patient/$everything", 404, None),
        ("POST", "Patient/$everything", 404, None),
        ("GET", "Communication/x/$everything", 404, None),
        ("POST", "Communication/$mark-read", 404, None),
    ],
)
def test_it_is_offered_where_it_is_declared(
    clinic: Clinic, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = clinic.amina.ask(method, path)
    assert refusal(answer)[0] == status
    assert answer.headers.get("allow") == allow


def test_capability_says_so(clinic: Clinic, client: httpx.Client) -> None:
    listed_types = client.get("/fhir/R4/metadata").json()["rest"][0]["resource"]
    offered = {
        r["type"]: o["definition"]
        for r in listed_types
        for o in r.get("operation", ())
        if o["name"] == "everything"
    }
    assert set(offered) == {"Patient", "Encounter"}
    for kind, url in offered.items():
        found = clinic.amina.get(f"OperationDefinition?url={url}").json()["entry"][0]["resource"]
        assert (found["resource"], found["code"]) == ([kind], "everything")
        assert found["base"] == f"http://hl7.org/fhir/OperationDefinition/{kind}-everything"
    options = client.options(f"/fhir/R4/{URL}")
    assert options.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert clinic.amina.ask("HEAD", URL).content == b""
