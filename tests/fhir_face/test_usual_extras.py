"""What FHIR clients send along without thinking: media types, preferences, slashes, escapes."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx
import pytest

from tests.conftest import NewClinic
from tests.support.clinic import Clinic, Resource, message, reference, stored, thread

SYSTEM = "https://example.org/mrn|a"
FORM = "application/x-www-form-urlencoded"
PATHS = (
    "Patient/zahra",
    "Patient/zahra/_history/1",
    "Patient/zahra/_history",
    "Patient?_id=zahra",
    "Patient/_history",
    "metadata",
    "ValueSet/urgency",
    "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/request-priority",
)


@pytest.fixture(scope="module")
def ward(new_clinic: NewClinic) -> Clinic:
    return new_clinic()


def organization(number: str = "1") -> Resource:
    return {"resourceType": "Organization", "identifier": [{"system": SYSTEM, "value": number}]}


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/fhir+json;charset=utf-8",
        "application/fhir+json; fhirVersion=4.0",
        "application/json, text/plain, */*",
        "text/html, application/json;q=0.9",
        "APPLICATION/FHIR+JSON",
        "*/*",
        "",
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_what_clients_accept(ward: Clinic, path: str, accept: str) -> None:
    answer = ward.service.get(path, accept=accept)
    assert answer.status_code == 200, answer.text
    told = answer.headers["content-type"].partition(";")[0]
    assert told == ("application/json" if "application/json" in accept else "application/fhir+json")


@pytest.mark.parametrize("format", ["json", "application/json", "application/fhir%2Bjson"])
@pytest.mark.parametrize("path", PATHS)
def test_a_format_in_the_query_decides(ward: Clinic, path: str, format: str) -> None:
    asked = f"{path}{'&' if '?' in path else '?'}_format={format}"
    answer = ward.service.get(asked, accept="text/html")
    assert answer.status_code == 200, answer.text
    assert answer.json()["resourceType"]


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=UTF-8",
        "application/fhir+json;charset=utf-8",
        "application/fhir+json; fhirVersion=4.0",
        "Application/FHIR+JSON",
    ],
)
def test_what_clients_say_that_they_send(ward: Clinic, kind: str) -> None:
    created = ward.service.post(organization(), content_type=kind)
    assert created.status_code == 201, created.text
    assert ward.service.put(stored(created), content_type=kind).status_code == 200


@pytest.mark.parametrize("path", [path for path in PATHS if "_history" not in path])
def test_an_answer_may_be_asked_for_prettily(ward: Clinic, path: str) -> None:
    plain = ward.service.get(path)
    pretty = ward.service.get(f"{path}{'&' if '?' in path else '?'}_pretty=true")
    assert pretty.status_code == 200, pretty.text
    assert pretty.json()["resourceType"] == plain.json()["resourceType"]
    assert pretty.json().get("entry", ()) == plain.json().get("entry", ())


def test_writes_take_a_format_too(ward: Clinic) -> None:
    created = ward.service.post(organization(), "Organization?_format=json&_pretty=true")
    assert created.status_code == 201, created.text
    there = stored(created)
    path = f"{reference(there)}?_format=application/fhir%2Bjson"
    assert ward.service.put(there, path).status_code == 200
    patch = json.dumps([{"op": "add", "path": "/name", "value": "North"}])
    kind = "application/json-patch+json; charset=utf-8"
    assert ward.service.ask("PATCH", path, patch, content_type=kind).status_code == 200
    assert ward.service.delete(path).status_code == 204


@pytest.mark.parametrize(
    ("prefer", "said"),
    [
        ("return=minimal", ""),
        ("return=minimal; handling=strict", ""),
        ("handling=lenient, return=minimal", ""),
        ("respond-async; wait=10, Return=Minimal", ""),
        ('return="minimal"', ""),
        ("return=representation", "Organization"),
        ("handling=strict", "Organization"),
        ("return=presentation", "Organization"),
        ("return=OperationOutcome,handling=lenient", "OperationOutcome"),
        ("", "Organization"),
    ],
)
def test_preferences(ward: Clinic, prefer: str, said: str) -> None:
    created = ward.service.post(organization(), prefer=prefer)
    assert created.status_code == 201
    assert (created.json()["resourceType"] if created.content else "") == said
    assert created.headers["location"]


def test_a_slash_at_the_end_counts_as_none(ward: Clinic) -> None:
    for path in ("Patient/zahra/", "Patient/?_id=zahra", "Patient/zahra/_history/", "metadata/"):
        assert ward.service.get(path).status_code == 200, path
    created = ward.service.post(organization(), "Organization/")
    assert created.status_code == 201
    assert ward.service.delete(f"{reference(stored(created))}/").status_code == 204
    searched = ward.service.ask("POST", "Patient/_search/", "_id=zahra", content_type=FORM)
    assert searched.json()["total"] == 1


def test_a_form_and_an_address_ask_together(clinic: Clinic) -> None:
    header = clinic.amina.created(thread())
    said = clinic.amina.created(message(header))
    path = f"Communication/_search?part-of={reference(header)}&_format=json"
    form = f"{FORM}; charset=UTF-8"
    for body, found in (("status=in-progress", [said["id"]]), ("status=completed", [])):
        answer = clinic.amina.ask("POST", path, body, content_type=form)
        assert [e["resource"]["id"] for e in answer.json().get("entry", ())] == found
    twice = clinic.amina.ask("POST", path, "part-of=Communication/x", content_type=form)
    assert twice.json()["total"] == 0


def test_separators_may_be_encoded(clinic: Clinic) -> None:
    """A `|` or `,` in a value stands behind a backslash, however it all is encoded."""
    ids = [clinic.service.created(organization(number))["id"] for number in ("1", "2,3")]
    system = SYSTEM.replace("|", "\\|")
    for value, found in (
        (f"{system}|1", ids[:1]),
        (f"{system}|2\\,3", ids[1:]),
        (f"{system}|1,{system}|2\\,3", ids),
        (f"{system}|", ids),
        (f"{system}|2,3", []),
    ):
        for written in (quote(value, safe=""), quote(value), quote(value, safe="|,:/\\")):
            assert clinic.service.ids(f"Organization?identifier={written}") == set(found), written
    assert clinic.service.ids("Organization?name:missing=true&_id=" + "%2C".join(ids)) == set(ids)


@pytest.mark.parametrize("encoding", ["gzip, deflate, br", "identity", "*", "gzip;q=1.0, *;q=0"])
def test_compression_may_be_offered(ward: Clinic, encoding: str) -> None:
    answer = ward.service.get("Patient?_id=zahra", accept_encoding=encoding)
    assert (answer.status_code, answer.json()["total"]) == (200, 1)
    assert "content-encoding" not in answer.headers


def test_head_is_a_get_without_its_body(ward: Clinic) -> None:
    for path in PATHS[:2]:
        got, head = ward.service.get(path), ward.service.ask("HEAD", path)
        assert (head.status_code, head.content) == (200, b"")
        assert same(head, got, "etag", "last-modified", "content-type", "content-length")


def same(one: httpx.Response, other: httpx.Response, *headers: str) -> bool:
    return all(one.headers[name] == other.headers[name] for name in headers)
