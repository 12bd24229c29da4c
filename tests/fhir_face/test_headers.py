"""ETag, Last-Modified, Location, Allow and HEAD, of every interaction."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.clinic import Clinic, reference

JSON = "application/fhir+json"
XML = "application/fhir+xml"
ORG: dict[str, Any] = {"resourceType": "Organization", "id": "o", "name": "One"}
NEW = {"resourceType": "Organization", "name": "New"}
PATCH = json.dumps([{"op": "replace", "path": "/name", "value": "Two"}])


def patch(clinic: Clinic, path: str, **headers: str) -> httpx.Response:
    kind = "application/json-patch+json"
    return clinic.service.ask("PATCH", path, PATCH, content_type=kind, **headers)


class Case(NamedTuple):
    """A request, after which `Organization/o` has version 1, with what it must answer."""

    ask: Callable[[Clinic], httpx.Response]
    status: int
    version: int | None = None
    location: bool = False
    modified: bool = True


CASES: dict[str, Case] = {
    "create": Case(lambda c: c.service.post(NEW), 201, 1, location=True),
    "create that finds none": Case(
        lambda c: c.service.post(NEW, if_none_exist="name=Nothing"), 201, 1, location=True
    ),
    "create that finds one": Case(
        lambda c: c.service.post(NEW, if_none_exist="name=One"), 200, 1, location=True
    ),
    "update": Case(lambda c: c.service.put({**ORG, "name": "Two"}), 200, 2, location=True),
    "update as create": Case(lambda c: c.service.put({**ORG, "id": "p"}), 201, 1, location=True),
    "update, minimal": Case(
        lambda c: c.service.put({**ORG, "name": "Two"}, prefer="return=minimal"),
        200,
        2,
        location=True,
    ),
    "update, outcome": Case(
        lambda c: c.service.put({**ORG, "name": "Two"}, prefer="return=OperationOutcome"),
        200,
        2,
        location=True,
    ),
    "conditional update": Case(
        lambda c: c.service.put({**ORG, "name": "Two"}, "Organization?name=One"),
        200,
        2,
        location=True,
    ),
    "patch": Case(lambda c: patch(c, "Organization/o"), 200, 2, location=True),
    "conditional patch": Case(lambda c: patch(c, "Organization?name=One"), 200, 2, location=True),
    "read": Case(lambda c: c.service.get("Organization/o"), 200, 1),
    "read of a part": Case(lambda c: c.service.get("Organization/o?_elements=name"), 200, 1),
    "read, known": Case(lambda c: c.service.get("Organization/o", if_none_match='W/"1"'), 304, 1),
    "vread": Case(lambda c: c.service.get("Organization/o/_history/1"), 200, 1),
    "delete": Case(lambda c: c.service.delete("Organization/o"), 204, 2, modified=False),
    "conditional delete": Case(
        lambda c: c.service.delete("Organization?name=One"), 204, 2, modified=False
    ),
    "search": Case(lambda c: c.service.get("Organization"), 200, modified=False),
    "history": Case(lambda c: c.service.get("Organization/o/_history"), 200, modified=False),
    "history of a type": Case(
        lambda c: c.service.get("Organization/_history"), 200, modified=False
    ),
    "refusal": Case(lambda c: c.service.put({**ORG, "name": 1}), 422, modified=False),
    "metadata": Case(lambda c: c.service.get("metadata"), 200, modified=False),
}


@pytest.mark.parametrize("case", CASES)
def test_the_headers_of_an_answer(clinic: Clinic, case: str) -> None:
    clinic.service.put(ORG)
    ask, status, version, location, modified = CASES[case]
    answer = ask(clinic)
    assert answer.status_code == status, answer.text
    assert answer.headers.get("etag") == (f'W/"{version}"' if version else None)
    assert ("location" in answer.headers, "last-modified" in answer.headers) == (location, modified)
    if location:
        address = answer.headers["location"]
        assert address.startswith(f"{clinic.service.http.base_url}/fhir/R4/Organization/")
        assert address.endswith(f"/_history/{version}")
        there = clinic.service.get(address)
        assert there.headers["etag"] == answer.headers["etag"]
        assert there.headers["last-modified"] == answer.headers["last-modified"]
    if modified:
        assert parsedate_to_datetime(answer.headers["last-modified"]).year >= 2026


@pytest.mark.parametrize("accept", [JSON, XML])
@pytest.mark.parametrize(
    "path",
    [
        "Organization/o", "Organization/o/_history/1", "Organization/o/_history", "Organization",
        "Organization/_history", "metadata", "Patient/zahra/Communication", "ValueSet",
        "ValueSet/none", "Organization/none", "Organization/o?_elements=name&_pretty=true",
    ],
)  # fmt: skip
def test_head_is_get_without_the_body(clinic: Clinic, path: str, accept: str) -> None:
    clinic.service.put(ORG)
    got, head = (clinic.service.ask(method, path, accept=accept) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (got.status_code, b"")
    own = {"date"}
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in got.headers.items() if k not in own
    }
    assert head.headers["content-length"] == str(len(got.content))


ALLOWED = {
    "metadata": "GET, HEAD, OPTIONS",
    "Organization": "DELETE, GET, HEAD, PATCH, POST, PUT, OPTIONS",
    "Organization/_search": "POST, OPTIONS",
    "Organization/o": "DELETE, GET, HEAD, PATCH, PUT, OPTIONS",
    "Organization/o/_history": "GET, HEAD, OPTIONS",
    "Organization/o/_history/1": "GET, HEAD, OPTIONS",
    "Organization/_history": "GET, HEAD, OPTIONS",
    "_history": "GET, HEAD, OPTIONS",
    "Patient/zahra/Communication": "GET, HEAD, OPTIONS",
    "Patient/zahra/Communication/_search": "POST, OPTIONS",
    "Organization/$validate": "POST, OPTIONS",
    "ValueSet": "GET, HEAD, OPTIONS",
    "ValueSet/$expand": "GET, HEAD, POST, OPTIONS",
}


@pytest.mark.parametrize("path", ALLOWED)
def test_options_name_the_methods(client: httpx.Client, path: str) -> None:
    answer = client.options(f"/fhir/R4/{path}", headers={"accept": "text/html"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == ALLOWED[path]


@pytest.mark.parametrize("path", ["Nothing", "Organization/o/x/y/z"])
def test_options_of_nothing(client: httpx.Client, path: str) -> None:
    answer = client.options(f"/fhir/R4/{path}", headers={"accept": XML})
    assert (answer.status_code, answer.headers["content-type"]) == (404, XML)


def test_a_new_resource_stands_where_location_says(clinic: Clinic) -> None:
    answer = clinic.service.post(NEW)
    assert f"/{reference(answer.json())}/_history/1" in answer.headers["location"]
