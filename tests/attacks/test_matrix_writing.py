"""Every type and way of writing it, for every kind of caller: what the oracle says, no more.

Of each type each caller tries resources that he may not see, may see, and may write. Where he may
not, each way is refused alike, and in the end nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import httpx
import pytest

from fhir_server.declarations import read_declarations
from tests.attacks.oracle import Caller, may_write, parts_of
from tests.attacks.watch import JSON, Watch, issue
from tests.attacks.world import PROFILES, callers, clinic
from tests.support.effort import effort, turns

DECLARED = read_declarations().definitions
TYPES = sorted(DECLARED.types)
# What nobody writes but the server itself: 405 for everybody.
CLOSED = {name for name, served in DECLARED.types.items() if not served.writable}
NAMES = list(callers(clinic()))
every = pytest.mark.parametrize("name", NAMES)
# Types whose rules say more than the policy does: tests/communication has them.
RULED = {"Communication", "CommunicationRequest"}
ATTEMPTS = effort(1)
PATCHED = [{"op": "test", "path": "/resourceType", "value": "x"}]
JSON_PATCH = "application/json-patch+json"
PART = [
    {"name": "type", "valueCode": "delete"},
    {"name": "path", "valueString": "Resource.language"},
]
FHIRPATH = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": PART}]}
WAYS = (
    ("PUT", None, JSON),
    ("DELETE", None, JSON),
    ("PATCH", PATCHED, JSON_PATCH),
    ("PATCH", FHIRPATH, JSON),
)


def ways(watch: Watch, caller: Caller, one: dict[str, Any]) -> Iterator[httpx.Response]:
    """Each way to write a resource that is there; a version that it has, or has not, is named."""
    at = f"{one['resourceType']}/{one['id']}"
    tags: tuple[dict[str, str], ...] = (
        {},
        {"if_match": 'W/"1"'},
        {"if_match": 'W/"7"'},
        {"if_match": "*"},
    )
    turn = int(one["id"][2:])
    for n, (method, body, kind) in turns(enumerate(WAYS), turn, 2):
        for tag in turns(tags, turn + n, len(tags)):
            yield watch.ask(caller, method, at, body or one, content_type=kind, **tag)


def chosen(watch: Watch, caller: Caller, kind: str, *, writable: bool | None) -> list[Any]:
    """Some resources of the type that he may write; may see only; None: may not see."""
    oracle = watch.oracle
    listed = (one for one in watch.world.resources.values() if one["resourceType"] == kind)
    found = (
        one
        for one in listed
        if oracle.allowed(caller, one, "u") is (writable is not None)
        and (writable is None or oracle.writable(caller, one) is writable)
    )
    return list(islice(found, ATTEMPTS))


@every
def test_what_he_may_not_write_stays_as_it_is(watch: Watch, name: str) -> None:
    caller, service = watch.callers[name], watch.callers["service"]
    tried = [
        one
        for kind in TYPES
        for writable in (None, False)
        for one in chosen(watch, caller, kind, writable=writable)
    ]
    for one in tried:
        hidden = not watch.oracle.visible(caller, one)
        for answer in ways(watch, caller, one):
            # Of what he sees, he may be told which version it has and what a patch tests.
            allowed = {403} if hidden else {403, 409, 412, 422}
            allowed = {405} if one["resourceType"] in CLOSED else allowed
            assert answer.status_code in allowed, f"{answer.request.method} {one}: {answer.text}"
            assert "etag" not in answer.headers
    for one in tried:
        now = watch.get(service, f"{one['resourceType']}/{one['id']}").json()
        assert now["meta"]["versionId"] == "1"


@every
def test_what_he_may_write_he_writes(watch: Watch, name: str) -> None:
    """Unchanged, so that the world stays what it is; what is deleted is put back."""
    caller, service = watch.callers[name], watch.callers["service"]
    for kind in TYPES:
        for one in chosen(watch, caller, kind, writable=True):
            at = f"{kind}/{one['id']}"
            answers = [watch.ask(caller, "PUT", at, one), watch.ask(caller, "DELETE", at)]
            statuses = [answer.status_code for answer in answers]
            ruled = kind in RULED or "extension" in one
            if one["meta"].get("profile") == [PROFILES + "gdpr-request"]:
                # Nobody makes a request under the GDPR undone.
                assert statuses == [200, 403], answers[0].text
            elif ruled and not caller.is_system:
                assert set(statuses) <= {200, 403, 409, 422}, answers[0].text
            else:
                assert statuses == [200, 204], answers[0].text
            if 204 in statuses:
                assert watch.ask(service, "PUT", at, one).status_code == 201


@every
def test_whom_no_role_lets_write_a_type_creates_none(watch: Watch, name: str) -> None:
    caller = watch.callers[name]
    for n, kind in enumerate(TYPES):
        body = next(one for one in watch.world.resources.values() if one["resourceType"] == kind)
        if may_write(caller, kind) and parts_of(caller, kind, "c"):
            continue
        itself = f"{kind}?_id={body['id']}"
        asked: tuple[tuple[str, str, Any, dict[str, str]], ...] = (
            ("POST", kind, body, {}),
            ("PUT", itself, body, {}),
            ("POST", kind, body, {"if_none_exist": f"_id={body['id']}"}),
            ("PATCH", itself, PATCHED, {"content_type": JSON_PATCH}),
            ("DELETE", itself, None, {}),
        )
        for method, path, sent, headers in turns(asked, n + NAMES.index(name), 3):
            answer = watch.ask(caller, method, path, sent, **headers)
            refused = (405, "not-supported") if kind in CLOSED else (403, "forbidden")
            assert issue(answer) == refused


@every
def test_a_condition_does_not_find_what_is_hidden(watch: Watch, name: str) -> None:
    """By id or by words, alone or in a Bundle: the answer is that to what is not there."""
    caller = watch.callers[name]
    for kind in TYPES:
        for one in chosen(watch, caller, kind, writable=None):
            if not (may_write(caller, kind) and parts_of(caller, kind, "s")):
                continue
            tried: tuple[tuple[str, Any, dict[str, str]], ...] = (
                ("PATCH", PATCHED, {"content_type": JSON_PATCH}),
                ("DELETE", None, {}),
                ("PUT", one, {"if_match": 'W/"1"'}),
                ("DELETE", None, {"if_match": 'W/"1"'}),
                ("PUT", one, {}),
            )
            for n, path in enumerate(_conditions(one)):
                absent = path.replace("z", "y")
                for method, body, headers in turns(tried, n + NAMES.index(name), 2):
                    there = watch.ask(caller, method, path, body, **headers)
                    nowhere = watch.ask(caller, method, absent, body, **headers)
                    assert alike(there, nowhere), f"{method} {path}: {there.text} {nowhere.text}"
                    assert there.status_code in (204, 404, 405, 412), there.text


def _conditions(one: dict[str, Any]) -> Iterator[str]:
    kind = one["resourceType"]
    yield f"{kind}?_id={one['id']}"
    for number in one.get("identifier", ())[:1]:
        yield f"{kind}?identifier=urn:x:mrn|{number['value']}"


def alike(one: httpx.Response, other: httpx.Response) -> bool:
    """Status, body and headers, apart from what is the clock's."""
    return _told(one) == _told(other)


def _told(answer: httpx.Response) -> tuple[int, str, dict[str, str]]:
    kept = {k: v for k, v in answer.headers.items() if k != "date"}
    return answer.status_code, answer.text, kept
