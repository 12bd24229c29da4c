"""read, vread, history and metadata over HTTP. https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.clinic import Clinic, Person, refusal, stored


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((li["url"] for li in bundle["link"] if li["relation"] == relation), None)


def revised(clinic: Clinic, times: int) -> None:
    for n in range(times):
        body = {"resourceType": "Organization", "id": "o", "name": f"Name {n + 1}"}
        clinic.service.put(body)


def test_metadata_needs_no_token(client: httpx.Client) -> None:
    found = client.get("/fhir/R4/metadata")
    statement = found.json()
    assert found.headers["content-type"] == "application/fhir+json"
    assert (statement["resourceType"], statement["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
    assert statement["implementation"]["url"] == f"{client.base_url}/fhir/R4".replace("//f", "/f")
    types = {resource["type"] for resource in statement["rest"][0]["resource"]}
    assert {"Communication", "CommunicationRequest", "Encounter", "Patient"} <= types


def test_everything_else_needs_one(client: httpx.Client) -> None:
    for path in ("Patient", "Patient/x", "Patient/x/_history", "Nothing"):
        answer = client.get(f"/fhir/R4/{path}")
        assert refusal(answer) == (401, "login")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_read_answers_the_version_with_its_headers(clinic: Clinic) -> None:
    revised(clinic, 2)
    answer = clinic.amina.get("Organization/o")
    assert answer.headers["etag"] == 'W/"2"'
    updated = parsedate_to_datetime(answer.headers["last-modified"])
    assert stored(answer)["meta"]["lastUpdated"].startswith(f"{updated:%Y-%m-%dT%H:%M:%S}")
    assert stored(answer)["meta"]["versionId"] == "2"


def test_head_answers_as_get_without_a_body(clinic: Clinic) -> None:
    got, head = (clinic.amina.ask(method, "Patient/zahra") for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert head.headers["etag"] == got.headers["etag"]


def test_each_version_can_be_read(clinic: Clinic) -> None:
    revised(clinic, 3)
    for n in (1, 2, 3):
        answer = clinic.amina.get(f"Organization/o/_history/{n}")
        assert answer.headers["etag"] == f'W/"{n}"'
        assert stored(answer)["name"] == f"Name {n}"


@pytest.mark.parametrize("version", ["4", "0", "x", "-1", "99999999999999", "1x"])
def test_a_version_that_never_was_is_404(clinic: Clinic, version: str) -> None:
    revised(clinic, 3)
    assert refusal(clinic.amina.get(f"Organization/o/_history/{version}")) == (404, "not-found")


@pytest.mark.parametrize(
    "path", ["Nothing", "Nothing/1", "Patient/none", "Patient/a_b", "Patient/x/y/z"]
)
def test_what_is_not_there_is_404(clinic: Clinic, path: str) -> None:
    assert refusal(clinic.amina.get(path))[0] == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "Patient/x"), ("DELETE", "Patient/x/_history/1")],
)
def test_another_method_is_405_and_says_which_are_allowed(
    clinic: Clinic, method: str, path: str
) -> None:
    answer = clinic.amina.ask(method, path)
    assert refusal(answer) == (405, "not-supported")
    assert answer.headers["allow"]


@pytest.mark.parametrize("accept", ["application/fhir+turtle", "text/html", "image/png"])
def test_another_format_is_406(clinic: Clinic, accept: str) -> None:
    paths = ["Patient/zahra", "Patient", "Patient/zahra/_history/1", "Patient/zahra/_history"]
    for path in ["metadata", *paths]:
        assert refusal(clinic.amina.get(path, accept=accept)) == (406, "not-supported")


def test_nothing_is_written_whose_answer_cannot_be_read(clinic: Clinic) -> None:
    patient = {"resourceType": "Patient", "id": "zahra", "active": True}
    for answer in (
        clinic.service.post(patient, accept="application/fhir+turtle"),
        clinic.service.put(patient, accept="application/fhir+turtle"),
        clinic.service.post(patient, "Patient/$validate", accept="application/fhir+turtle"),
        clinic.service.post(patient, "Patient?_format=ttl"),
    ):
        assert refusal(answer) == (406, "not-supported")
    assert clinic.service.ids("Patient?active=true") == set()


@pytest.mark.parametrize(
    "accept",
    ["application/fhir+json", "application/json", "*/*", "text/html, application/json;q=0.5"],
)
def test_json_by_any_name(clinic: Clinic, accept: str) -> None:
    assert clinic.amina.get("Patient/zahra", accept=accept).status_code == 200


def test_the_format_parameter_overrides_accept(clinic: Clinic) -> None:
    for path in ("Patient/zahra", "Patient", "Patient/zahra/_history"):
        wanted = clinic.amina.get(f"{path}?_format=json", accept="text/html")
        assert wanted.status_code == 200, wanted.text
        assert refusal(clinic.amina.get(f"{path}?_format=ttl")) == (406, "not-supported")


def test_history_is_newest_first_and_says_what_was_done(clinic: Clinic) -> None:
    revised(clinic, 2)
    clinic.service.delete("Organization/o")
    revised(clinic, 1)
    bundle = clinic.service.get("Organization/o/_history").json()
    requests = [
        (entry["request"]["method"], entry["response"]["etag"]) for entry in bundle["entry"]
    ]
    assert (bundle["type"], bundle["total"]) == ("history", 4)
    assert [etag for _, etag in requests] == [f'W/"{n}"' for n in (4, 3, 2, 1)]
    assert [method for method, _ in requests][1:3] == ["DELETE", "PUT"]
    assert "resource" not in bundle["entry"][1]
    assert {urlsplit(entry["fullUrl"]).path for entry in bundle["entry"]} == {
        "/fhir/R4/Organization/o"
    }


def test_pages_of_a_history_are_the_whole(clinic: Clinic) -> None:
    revised(clinic, 7)
    assert pages(clinic.amina, "Organization/o/_history?_count=3") == [
        "7",
        "6",
        "5",
        "4",
        "3",
        "2",
        "1",
    ]


def pages(person: Person, path: str) -> list[str]:
    found: list[str] = []
    url: str | None = path
    while url:
        bundle = person.get(url).json()
        assert len(bundle["entry"]) <= 3
        found += [entry["resource"]["meta"]["versionId"] for entry in bundle["entry"]]
        url = link(bundle, "next")
    return found


@pytest.mark.parametrize("query", ["_count=-1", "_count=x", "foo=1", "_before=x"])
def test_a_wrong_history_parameter_is_400(clinic: Clinic, query: str) -> None:
    assert refusal(clinic.amina.get(f"Patient/zahra/_history?{query}"))[0] == 400


def test_no_history_of_what_never_was(clinic: Clinic) -> None:
    assert refusal(clinic.amina.get("Patient/none/_history")) == (404, "not-found")
