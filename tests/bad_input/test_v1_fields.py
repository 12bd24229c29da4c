"""Every field of every v1 body, with every kind of value that is not its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.bad_input.faces import MARKER, refused
from tests.bad_input.world import V1, World

pytestmark = pytest.mark.usefixtures("unchanged")

# The routes with a body: path, and a body that would be good.
ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "createThread": (
        "/threads",
        {
            "participantIds": ["usr_farid"],
            "subject": MARKER,
            "patientId": "pat_zahra",
            "encounterId": "enc_1",
        },
    ),
    "sendMessage": (
        "/threads/thr_THREAD/messages",
        {"body": MARKER, "urgency": "routine", "attachmentIds": []},
    ),
    "markRead": (
        "/threads/thr_THREAD/read",
        {"messageIds": ["msg_MESSAGE"], "readAt": "2026-01-01T00:00:00Z"},
    ),
}
FIELDS = [(route, name) for route, (_, body) in ROUTES.items() for name in body]
REQUIRED = [
    ("createThread", "participantIds"),
    ("createThread", "subject"),
    ("sendMessage", "body"),
    ("markRead", "messageIds"),
]

TEXTS: dict[str, Any] = {
    "empty": "",
    "blanks": " \t ",
    "a number": 1,
    "a decimal": 1.5,
    "zero": 0,
    "true": True,
    "false": False,
    "an array": ["x"],
    "an object": {"x": "y"},
    "an empty object": {},
}
IDS: dict[str, Any] = {
    **TEXTS,
    "without prefix": "zahra",
    "the prefix alone": "usr_",
    "another prefix": "xyz_zahra",
    "two prefixes": "usr_pat_zahra",
    "prefix in other case": "USR_zahra",
    "a reference": "Patient/zahra",
    "an address": "https://evil.example/fhir/Patient/zahra",
    "a version": "pat_zahra/_history/1",
    "a fragment": "pat_#x",
    "a path": "pat_../../x",
    "blanks around": " pat_zahra ",
    "a line break": "pat_zahra\n",
    "65 characters": "pat_" + "x" * 65,
    "50,000 characters": "pat_" + "x" * 50_000,
    "Persian": "pat_زهرا",
    "other digits": "pat_١٢٣",
    "a search": "pat_a,pat_b",
    "a bar": "pat_a|b",
    "SQL": "pat_' OR ''='",
}
WRONG: dict[str, dict[str, Any]] = {
    "subject": TEXTS,
    "body": TEXTS,
    "patientId": {**IDS, "a colleague": "usr_farid", "nobody": "pat_nobody"},
    "encounterId": {**IDS, "a patient": "pat_zahra"},
    "urgency": {**TEXTS, "no word": "now", "FHIR's word": "stat", "other case": "URGENT"},
    "readAt": {
        **TEXTS,
        "a date": "2026-01-01",
        "a year": "2026",
        "without zone": "2026-01-01T00:00:00",
        "a day there is not": "2026-02-30T00:00:00Z",
        "an hour there is not": "2026-01-01T24:00:00Z",
        "a leap second": "2026-12-31T23:59:60Z",
        "the future": "2999-01-01T00:00:00Z",
        "the end of time": "9999-12-31T23:59:59-12:00",
        "year 0": "0000-01-01T00:00:00Z",
        "the beginning of time": "0001-01-01T00:00:00+14:00",
        "words": "now",
        "a blank for T": "2026-01-01 00:00:00Z",
        "a zone there is not": "2026-01-01T00:00:00+99:00",
        "other digits": "٢٠٢٦-01-01T00:00:00Z",
    },
}
LISTS: dict[str, Any] = {
    "a text": "usr_farid",
    "a number": 1,
    "true": True,
    "an object": {"0": "usr_farid"},
    "an array in an array": [["usr_farid"]],
    "null inside": [None],
    "an object inside": [{}],
    "a number inside": [1],
    "a bad one at the end": ["usr_farid", "xyz"],
    **{f"{case}, inside": [value] for case, value in IDS.items() if isinstance(value, str)},
}
WRONG |= {
    "participantIds": {**LISTS, "empty": [], "nobody": ["usr_nobody"], "a message": ["msg_x"]},
    "messageIds": {**LISTS, "empty": [], "a thread": ["thr_x"], "5,000": ["msg_x"] * 5000},
    "attachmentIds": {**LISTS, "a message": ["msg_x"]},
}


def sent(world: World, route: str, **changes: Any) -> tuple[str, dict[str, Any]]:
    path, body = ROUTES[route]
    message = [f"msg_{world.ids['message']}"]
    good = {name: message if name == "messageIds" else value for name, value in body.items()}
    # No encounter is there to refer to.
    good.pop("encounterId", None)
    return V1 + path.replace("THREAD", world.ids["thread"]), good | changes


def cases() -> Iterator[tuple[str, str, str]]:
    for route, name in FIELDS:
        for case in WRONG[name]:
            yield route, name, case


@pytest.mark.parametrize(("route", "name", "case"), list(cases()))
def test_a_value_of_another_kind_is_refused(world: World, route: str, name: str, case: str) -> None:
    path, body = sent(world, route, **{name: WRONG[name][case]})
    refused(world.ask("POST", path, json=body), 400, 403, 404)


@pytest.mark.parametrize(("route", "name"), REQUIRED)
def test_a_field_that_is_required_must_be_there(world: World, route: str, name: str) -> None:
    path, body = sent(world, route)
    refused(world.ask("POST", path, json={**body, name: None}), 400)
    del body[name]
    refused(world.ask("POST", path, json=body), 400)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "name", ["x", "threadId", "senderId", "status", "resourceType", "id", "tenant", "Subject", ""]
)
def test_a_field_that_the_route_does_not_take_is_refused(
    world: World, route: str, name: str
) -> None:
    path, body = sent(world, route, **{name: "x"})
    refused(world.ask("POST", path, json=body), 400)


def test_every_wrong_field_is_named(world: World) -> None:
    body = {"participantIds": "x", "subject": 1, "patientId": [], "other": 1}
    response = world.ask("POST", f"{V1}/threads", json=body)
    refused(response, 400)
    named = {field["field"] for field in response.json()["error"]["details"]["fields"]}
    assert named == set(body)
