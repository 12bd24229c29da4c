"""Batches and transactions that are wrong: a clear refusal that names the place."""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bad_input.mutations import json_values
from tests.bad_input.world import World
from tests.support.bundles import bundle, entry, post, put
from tests.support.effort import effort

URN = "urn:uuid:a1b2c3d4-0000-4000-8000-000000000000"
NAME = {"resourceType": "Organization", "name": "North"}
GOOD = bundle(
    "transaction",
    post(NAME, URN),
    post({**NAME, "partOf": {"reference": URN}}, ifNoneExist="name=Nowhere"),
    put({**NAME, "id": "nobody", "active": True}, ifMatch='W/"1"'),
    entry("GET", "Organization?name=North"),
    entry("DELETE", "Organization?name=Nowhere"),
)


def request(**more: Any) -> dict[str, Any]:
    return bundle("transaction", post(NAME), {"resource": NAME, "request": more})


def patch(body: Any) -> dict[str, Any]:
    return bundle("transaction", entry("PATCH", "Organization/x", body))


SECOND = "Bundle.entry[1]"
CREATE = {"method": "POST", "url": "Organization"}
BINARY = {"resourceType": "Binary"}
WRONG: list[tuple[Any, int, str]] = [
    ([], 400, ""),
    ({"resourceType": "Patient"}, 400, "resourceType"),
    ({"resourceType": "Bundle"}, 400, "Bundle.type"),
    ({"resourceType": "Bundle", "type": "collection"}, 400, "Bundle.type"),
    ({"resourceType": "Bundle", "type": ["batch"]}, 400, "Bundle.type"),
    ({"resourceType": "Bundle", "type": "batch", "entry": {}}, 400, "Bundle.entry"),
    (bundle("batch", None), 400, "Bundle.entry[0]"),  # type: ignore[arg-type]
    (bundle("batch", {}), 400, "Bundle.entry[0].request"),
    (bundle("batch", {"request": []}), 400, "Bundle.entry[0].request"),
    (request(url="Organization"), 400, f"{SECOND}.request.method"),
    (request(method="POST"), 400, f"{SECOND}.request.url"),
    (request(method="BREW", url="Organization"), 422, f"{SECOND}.request.method"),
    (request(method=1, url="Organization"), 400, f"{SECOND}.request.method"),
    (request(method="POST", url=["Organization"]), 400, f"{SECOND}.request.url"),
    (request(method="POST", url="Nothing"), 404, SECOND),
    (request(method="POST", url="Patient"), 400, f"{SECOND}.resource.resourceType"),
    (request(method="POST", url=""), 422, f"{SECOND}.request.url"),
    (request(method="POST", url="/"), 405, SECOND),
    (request(method="POST", url="http://elsewhere.example/Patient"), 404, SECOND),
    (request(method="PUT", url="Organization/a/b/c"), 404, SECOND),
    (request(method="PUT", url="Organization/%2f"), 404, SECOND),
    (request(method="PUT", url="Organization/../Patient/x"), 404, SECOND),
    (request(method="PUT", url="Organization?name=%FF"), 400, SECOND),
    (request(**CREATE, ifNoneExist=1), 400, f"{SECOND}.request.ifNoneExist"),
    (request(**CREATE, ifNoneExist="\u0416"), 400, SECOND),
    (request(**CREATE, ifModifiedSince="x"), 422, f"{SECOND}.request.ifModifiedSince"),
    (request(**CREATE, other="x"), 422, f"{SECOND}.request.other"),
    (bundle("transaction", entry("POST", "Organization")), 400, "Bundle.entry[0].resource"),
    (bundle("transaction", entry("POST", "Organization", [])), 400, "Bundle.entry[0].resource"),  # type: ignore[arg-type]
    (bundle("transaction", {**post(NAME), "fullUrl": 1}), 400, "Bundle.entry[0].fullUrl"),
    (bundle("transaction", {**post(NAME), "other": 1}), 422, "Bundle.entry[0].other"),
    (patch(NAME), 400, "Bundle.entry[0].resource.resourceType"),
    (patch({**BINARY, "data": "#"}), 400, "Bundle.entry[0].resource.data"),
    (patch({**BINARY, "contentType": "text/plain"}), 415, "Bundle.entry[0]"),
    (bundle("transaction", post({**NAME, "name": 1})), 422, "Bundle.entry[0].resource.name"),
    (bundle("transaction", post(bundle("transaction"))), 422, ""),
    (bundle("transaction", entry("POST", "", bundle("batch"))), 422, "Bundle.entry[0].request.url"),
]  # fmt: skip


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("body", "status", "place"), WRONG)
def test_the_place_is_named(world: World, body: Any, status: int, place: str) -> None:
    answer = send(world, body)
    issue = answer.json()["issue"][0]
    assert (answer.status_code, issue.get("expression", [""])[0]) == (status, place) or (
        not place and answer.status_code < 500
    ), answer.text


@pytest.mark.usefixtures("unchanged")
def test_other_bodies(world: World) -> None:
    for content in (b"", b"{", b"[]", b'"x"', b"\xff", b'{"resourceType":"Bundle"', b"null"):
        assert send(world, content).status_code == 400
    assert ask(world, b"{}", "text/plain").status_code == 415
    assert ask(world, b"{}", "application/fhir+json", "text/html").status_code == 406


def test_more_than_may_be_sent(world: World) -> None:
    """Bundles have limits of their own."""
    long = {**NAME, "name": "x" * 200_000}
    assert send(world, bundle("batch", entry("GET", "Nothing", long))).status_code == 200
    assert send(world, b" " * (33 * 1024 * 1024)).status_code == 413


KINDS = ("batch", "transaction")
SPOTS = st.sampled_from(
    [
        ("type",),
        ("entry",),
        ("entry", 0),
        ("entry", 0, "fullUrl"),
        ("entry", 0, "request"),
        ("entry", 0, "resource"),
        ("entry", 1, "resource", "partOf"),
        ("entry", 1, "resource", "partOf", "reference"),
        ("entry", 1, "request", "ifNoneExist"),
        ("entry", 2, "request", "ifMatch"),
        ("entry", 2, "request", "url"),
        ("entry", 2, "resource", "id"),
        ("entry", 3, "request", "url"),
        ("entry", 3, "request", "method"),
        ("entry", 4, "request", "url"),
    ]
)


@settings(max_examples=effort(150), deadline=None)
@given(st.lists(st.tuples(SPOTS, json_values), min_size=1, max_size=3), st.sampled_from(KINDS))
def test_whatever_is_sent_there_is_an_answer(
    world: World, changes: list[tuple[tuple[Any, ...], Any]], kind: str
) -> None:
    body = copy.deepcopy(GOOD)
    body["type"] = kind
    for path, value in changes:
        change(body, path, value)
    answer = send(world, body)
    assert answer.status_code < 500, answer.text
    for one in answer.json().get("entry", ()):
        assert one["response"]["status"] < "5", one


def change(body: Any, path: tuple[Any, ...], value: Any) -> None:
    """Where the place is still there."""
    for step in path[:-1]:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            return
    last = path[-1]
    held = isinstance(body, list) and isinstance(last, int) and last < len(body)
    if held or (isinstance(body, dict) and isinstance(last, str)):
        body[last] = value


def send(world: World, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(world, content, "application/fhir+json")


def ask(world: World, content: bytes, kind: str, accept: str = "*/*") -> httpx.Response:
    headers = {
        "authorization": f"Bearer {world.tokens['system']}",
        "content-type": kind,
        "accept": accept,
    }
    return world.client.post("/fhir/R4", content=content, headers=headers)
