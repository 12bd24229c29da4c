"""search over HTTP: links, handling, forms. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
import pytest

from tests.conftest import NewClinic
from tests.support.bundles import post, transact
from tests.support.clinic import Clinic, Resource, message, refer, reference, refusal, thread

FORM = "application/x-www-form-urlencoded"


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((li["url"] for li in bundle["link"] if li["relation"] == relation), None)


def query(url: str | None) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url or "").query, keep_blank_values=True)


def encounter(status: str, code: str) -> Resource:
    return {
        "resourceType": "Encounter",
        "status": status,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code},
        "subject": {"reference": "Patient/zahra"},
        "participant": [{"individual": refer("Practitioner/amina")[0]}],
    }


def test_interop_asks_for_a_patients_communications(clinic: Clinic) -> None:
    header = clinic.amina.created(thread())
    said = clinic.amina.created(message(header))
    clinic.amina.created(thread(patient="Patient/omid"))
    for value in ("Patient/zahra", "zahra"):
        assert clinic.farid.ids(f"Communication?patient={value}") == {header["id"], said["id"]}


def test_interop_asks_for_virtual_visits(clinic: Clinic) -> None:
    visit = clinic.service.created(encounter("planned", "VR"))
    clinic.service.created(encounter("planned", "AMB"))
    assert clinic.amina.ids("Encounter?class=VR&patient=zahra") == {visit["id"]}
    assert clinic.amina.ids("Encounter?class=VR&patient=omid") == set()


def test_a_bundle_says_what_it_is(clinic: Clinic) -> None:
    bundle = clinic.amina.get("Patient?_id=zahra&_total=accurate").json()
    assert (bundle["resourceType"], bundle["type"], bundle["total"]) == ("Bundle", "searchset", 1)
    assert bundle["entry"][0]["search"] == {"mode": "match"}
    assert bundle["entry"][0]["fullUrl"].endswith("/fhir/R4/Patient/zahra")
    assert query(link(bundle, "self")) == [("_id", "zahra"), ("_total", "accurate")]
    assert link(bundle, "next") is None


def test_an_empty_bundle_has_no_empty_list(clinic: Clinic) -> None:
    bundle = clinic.amina.get("Patient?_id=none").json()
    assert "entry" not in bundle or bundle["entry"]


def test_pages_by_the_next_link_are_the_whole(clinic: Clinic) -> None:
    sent = [clinic.amina.created(thread())["id"] for _ in range(7)]
    found, url = [], "Communication?patient=zahra&_sort=-sent&_count=3"
    while url:
        bundle = clinic.farid.get(url).json()
        found += [entry["resource"]["id"] for entry in bundle["entry"]]
        url = link(bundle, "next") or ""
    assert found == sent[::-1]


def test_a_cursor_of_someone_else_or_of_another_search_is_400(
    clinic: Clinic, new_clinic: NewClinic
) -> None:
    other = new_clinic()
    for _ in range(3):
        clinic.amina.created(thread())
    search = "Communication?patient=zahra&_count=2"
    following = link(clinic.amina.get(search).json(), "next") or ""
    assert clinic.amina.get(following).status_code == 200
    assert refusal(other.amina.get(following))[0] == 400
    assert refusal(clinic.farid.get(following))[0] == 400
    assert refusal(clinic.amina.get(following.replace("zahra", "omid")))[0] == 400
    assert refusal(clinic.amina.get(following[:-4]))[0] == 400
    assert refusal(clinic.amina.get(f"{search}&_cursor=x"))[0] == 400


def test_post_search_is_the_same_as_get(clinic: Clinic) -> None:
    header = clinic.amina.created(thread())
    for path, body in (
        ("Communication/_search", "patient=zahra&status=in-progress"),
        ("Communication/_search?patient=zahra", "status=in-progress"),
        ("Communication/_search?patient=zahra&status=in-progress", ""),
    ):
        answer = clinic.amina.ask("POST", path, body, content_type=FORM)
        assert [e["resource"]["id"] for e in answer.json()["entry"]] == [header["id"]]
        assert query(link(answer.json(), "self")) == [
            ("patient", "zahra"),
            ("status", "in-progress"),
        ]


def test_post_search_takes_a_form_only(clinic: Clinic) -> None:
    answer = clinic.amina.ask("POST", "Patient/_search", "{}", content_type="application/json")
    assert refusal(answer) == (415, "not-supported")


@pytest.mark.parametrize("prefer", ["handling=strict", "return=minimal", ""])
def test_an_unknown_parameter_is_400_unless_lenient(clinic: Clinic, prefer: str) -> None:
    answer = clinic.amina.get("Patient?_id=zahra&colour=red", prefer=prefer)
    assert refusal(answer)[0] == 400
    assert "colour" in answer.text


def test_lenient_says_which_parameters_were_used(clinic: Clinic) -> None:
    bundle = clinic.amina.get("Patient?_id=zahra&colour=red", prefer="handling=lenient").json()
    assert query(link(bundle, "self")) == [("_id", "zahra")]
    assert [e["resource"]["id"] for e in bundle["entry"] if e["search"]["mode"] == "match"] == [
        "zahra"
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        "_count=-1",
        "_count=x",
        "_sort=nothing",
        "birthdate=2023-02-30",
        "birthdate=zz2023",
        "gender:exact=male",
        "_include=x",
        "general-practitioner.colour=x",
        "_has:Nothing:patient:x=1",
        "_id=%ff",
        "_total=some",
    ],
)
def test_a_malformed_search_is_400(clinic: Clinic, wrong: str) -> None:
    assert refusal(clinic.amina.get(f"Patient?{wrong}"))[0] == 400


@pytest.mark.parametrize("length", [5_000, 60_000])
def test_a_huge_search_string_is_no_server_error(clinic: Clinic, length: int) -> None:
    answer = clinic.amina.ask("POST", "Patient/_search", "name=" + "x" * length, content_type=FORM)
    assert answer.status_code in {200, 400, 413, 414}


def test_included_resources_are_marked(clinic: Clinic) -> None:
    header = clinic.amina.created(thread())
    said = clinic.amina.created(message(header))
    bundle = clinic.amina.get(
        f"Communication?_id={said['id']}&_include=Communication:part-of"
        "&_include=Communication:sender&_include=Communication:subject"
    ).json()
    modes = {reference(e["resource"]): e["search"]["mode"] for e in bundle["entry"]}
    assert modes == {
        reference(said): "match",
        reference(header): "include",
        "Practitioner/amina": "include",
        "Patient/zahra": "include",
    }


def test_an_estimate_tells_nothing_of_what_is_hidden(clinic: Clinic, database_url: str) -> None:
    sender = {"reference": "Practitioner/amina"}
    for _ in range(3):
        clinic.service.created(thread("Patient/zahra", sender=sender))
    of_omid = [post(thread(patient="Patient/omid", sender=sender)) for _ in range(60)]
    transact(clinic.service, *of_omid)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE communication")
    for subjects in ("Patient/zahra", "Patient/zahra,Patient/omid"):
        query = f"Communication?subject={subjects}&_count=1&_total=estimate"
        assert clinic.zahra.get(query).json()["total"] == 3
