"""Paths that lead nowhere, or try to lead elsewhere."""

from __future__ import annotations

import pytest

from tests.bad_input.faces import refused
from tests.bad_input.world import FHIR, V1, World

pytestmark = pytest.mark.usefixtures("unchanged")

# As the id of a resource or thread; the path is sent as it stands here.
IDS: dict[str, str] = {
    "..": "..%2F",
    "../Patient": "..%2FPatient%2Fzahra",
    "a dot, encoded": "%2e%2e",
    "a slash": "a%2Fb",
    "a backslash": "..%5C..%5Cx",
    "twice encoded": "%252e%252e%252f",
    "NUL": "zahra%00",
    "NUL alone": "%00",
    "invalid UTF-8": "%ff%fe",
    "overlong UTF-8": "%c0%ae%c0%ae",
    "a lone surrogate": "%ed%a0%80",
    "a line break": "a%0d%0aSet-Cookie:%20x=1",
    "a blank": "%20zahra",
    "a full-width letter": "%EF%BD%9Aahra",
    "an underscore": "za_hra",
    "a quote": "zahra'--",
    "a semicolon": "zahra;x=1",
    "a question mark": "zahra%3Fx=1",
    "a hash": "zahra%23x",
    "a percent": "zahra%25",
    "a broken escape": "zahra%zz",
    "a star": "*",
    "a dollar": "%24",
    "65 characters": "x" * 65,
    "50,000 characters": "x" * 50_000,
    "a template": "{id}",
    "another case": "ZAHRA",
}
NOWHERE = (
    f"{FHIR}/Nothing",
    f"{FHIR}/Nothing/1",
    f"{FHIR}/patient",
    f"{FHIR}/Patient%00",
    f"{FHIR}/%50atient%2Fzahra",
    f"{FHIR}//Patient/zahra",
    f"{FHIR}/Patient//zahra",
    f"{FHIR}/Patient/zahra//",
    f"{FHIR}/Patient/zahra/_history//1",
    f"{FHIR}/Patient/zahra/_history/0",
    f"{FHIR}/Patient/zahra/_history/-1",
    f"{FHIR}/Patient/zahra/_history/1.0",
    f"{FHIR}/Patient/zahra/_history/%D9%A1",
    f"{FHIR}/Patient/zahra/_history/{'9' * 30}",
    f"{FHIR}/Patient/zahra/_history/{'9' * 5000}",
    f"{FHIR}/Patient/zahra/_history/1/2",
    f"{FHIR}/Patient/zahra/_nothing",
    f"{FHIR}/Patient/zahra/a/b/c/d/e",
    f"{FHIR}/Patient/zahra/$nothing",
    f"{FHIR}/$nothing",
    f"{FHIR}/_history/1",
    f"{FHIR}//_history",
    f"{FHIR}/Patient/zahra/Location",
    f"{FHIR}/Patient//Communication",
    f"{FHIR}/Patient/zahra/Communication/_search/x",
    f"{FHIR}/..%2f..%2fetc%2fpasswd",
    f"{FHIR}/metadata/x",
    f"{FHIR}/" + "a/" * 5000,
    f"{V1}/",
    f"{V1}",
    f"{V1}/nothing",
    f"{V1}/Threads",
    f"{V1}//threads",
    f"{V1}/threads/",
    f"{V1}/threads//messages",
    f"{V1}/threads%2F",
    f"{V1}/threads/x/y/z",
    f"{V1}/" + "a/" * 5000,
    "/v1/messaging/nothing",
    "/v1/messaging//threads",
)


@pytest.mark.parametrize("case", IDS)
def test_an_id_that_can_be_none_is_not_found(world: World, case: str) -> None:
    id = IDS[case]
    body = {"resourceType": "Patient"}
    for method, path, json in (
        ("GET", f"{FHIR}/Patient/{id}", None),
        ("GET", f"{FHIR}/Patient/{id}/_history", None),
        ("GET", f"{FHIR}/Patient/{id}/_history/1", None),
        ("GET", f"{FHIR}/Patient/zahra/_history/{id}", None),
        ("GET", f"{FHIR}/{id}", None),
        ("POST", f"{FHIR}/{id}", body),
        ("POST", f"{FHIR}/Communication/{id}/$mark-read", {"resourceType": "Parameters"}),
        ("POST", f"{FHIR}/Communication/${id}", {"resourceType": "Parameters"}),
    ):
        response = world.ask(method, path, json=json, caller="system")
        refused(response, 400, 403, 404, 405, 422)


@pytest.mark.parametrize("case", [case for case in IDS if case != "another case"])
def test_no_resource_is_put_at_an_id_that_can_be_none(world: World, case: str) -> None:
    id, body = IDS[case], {"resourceType": "Patient"}
    refused(world.ask("PUT", f"{FHIR}/Patient/{id}", json=body, caller="system"), 400, 404, 405)
    refused(world.ask("DELETE", f"{FHIR}/Patient/{id}", caller="system"), 400, 404, 405)


@pytest.mark.parametrize("prefix", ["thr_", "", "msg_", "THR_", "thr-", "thr_thr_"])
@pytest.mark.parametrize("case", IDS)
def test_a_v1_id_that_can_be_none_is_refused(world: World, case: str, prefix: str) -> None:
    for start in (V1, "/v1/messaging"):
        path = f"{start}/threads/{prefix}{IDS[case]}"
        for method, tail, json in (
            ("GET", "", None),
            ("GET", "/messages", None),
            ("POST", "/messages", {"body": "x"}),
            ("POST", "/read", {"messageIds": ["msg_x"]}),
            ("PATCH", "/archive", None),
        ):
            response = world.ask(method, path + tail, json=json)
            refused(response, 400, 404, 405)
            assert "set-cookie" not in response.headers


@pytest.mark.parametrize("prefix", ["msg_", "usr_", "pat_", "enc_", "att_", "Communication/", ""])
def test_an_id_with_the_prefix_of_another_kind_is_refused(world: World, prefix: str) -> None:
    path = f"{V1}/threads/{prefix}{world.ids['thread']}"
    for method, tail, json in (
        ("GET", "", None),
        ("POST", "/messages", {"body": "x"}),
        ("PATCH", "/archive", None),
    ):
        refused(world.ask(method, path + tail, json=json), 400, 404)


def test_a_message_is_no_thread(world: World) -> None:
    path = f"{V1}/threads/thr_{world.ids['message']}"
    for method, tail, json in (
        ("GET", "", None),
        ("GET", "/messages", None),
        ("POST", "/messages", {"body": "x"}),
        ("POST", "/read", {"messageIds": [f"msg_{world.ids['message']}"]}),
        ("PATCH", "/archive", None),
    ):
        refused(world.ask(method, path + tail, json=json), 403, 404)


@pytest.mark.parametrize("path", NOWHERE, ids=lambda path: path[:60])
def test_a_path_that_leads_nowhere_is_not_found(world: World, path: str) -> None:
    refused(world.ask("GET", path), 400, 404, 405)


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PUT", "TRACE"])
def test_a_method_that_is_not_offered_is_refused(world: World, method: str) -> None:
    thread = world.ids["thread"]
    for path in (
        f"{FHIR}/Patient/none/_history/1",
        f"{FHIR}/Patient/_search",
        f"{FHIR}/metadata",
        f"{V1}/threads",
        f"{V1}/threads/thr_{thread}/messages",
        "/v1/messaging/threads",
    ):
        refused(world.ask(method, path, json={"resourceType": "Patient"}), 404, 405, 415)


def test_head_is_answered_as_get_without_a_body(world: World) -> None:
    for path in (f"{FHIR}/Nothing", f"{FHIR}/Patient/none", f"{V1}/threads/x", f"{V1}/nothing"):
        response = world.ask("HEAD", path)
        refused(response, 400, 404)
        assert not response.content
