"""patch over HTTP. https://hl7.org/fhir/R4/http.html#patch"""

from __future__ import annotations

import json
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.clinic import (
    JSON,
    Clinic,
    Person,
    Resource,
    message,
    reference,
    refusal,
    stored,
    thread,
)

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
ARCHIVE = {"op": "replace", "path": "/status", "value": "completed"}


def json_patch(person: Person, path: str, *operations: Any, **headers: str) -> httpx.Response:
    headers = {"content_type": JSON_PATCH, **headers}
    return person.ask("PATCH", path, json.dumps(operations), **headers)


def fhirpath_patch(person: Person, path: str, *parts: Resource, **headers: str) -> httpx.Response:
    """A patch of one operation."""
    operation = {"name": "operation", "part": parts}
    body = {"resourceType": "Parameters", "parameter": [operation]}
    return person.ask("PATCH", path, json.dumps(body), **{"content_type": JSON, **headers})


def part(name: str, **value: Any) -> Resource:
    return {"name": name, **value}


REPLACE_STATUS = (
    part("type", valueCode="replace"),
    part("path", valueString="Communication.status"),
    part("value", valueCode="completed"),
)


def events(database_url: str, tenant: str) -> list[str]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT type FROM outbox WHERE tenant = %s ORDER BY id", [tenant])
        return [row[0] for row in rows]


def versions(person: Person, path: str) -> int:
    found: int = person.get(f"{path}/_history").json()["total"]
    return found


def test_a_json_patch_is_a_new_version(clinic: Clinic) -> None:
    path = reference(clinic.amina.created(thread()))
    answer = json_patch(
        clinic.amina, path, {"op": "replace", "path": "/topic/text", "value": "Care"}
    )
    assert answer.status_code == 200, answer.text
    assert stored(answer)["topic"] == {"text": "Care"}
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.headers["location"].endswith(f"{path}/_history/2")
    assert clinic.amina.get(path).json() == stored(answer)
    assert clinic.amina.get(f"{path}/_history/1").json()["topic"] == {"text": "Plan"}


def test_a_fhirpath_patch_is_a_new_version(clinic: Clinic) -> None:
    answer = fhirpath_patch(
        clinic.service,
        "Patient/zahra",
        part("type", valueCode="add"),
        part("path", valueString="Patient"),
        part("name", valueString="name"),
        part("value", valueHumanName={"family": "Zahra"}),
    )
    assert answer.status_code == 200, answer.text
    assert stored(answer)["name"] == [{"family": "Zahra"}]
    assert clinic.amina.ids("Patient?family=zahra") == {"zahra"}


def test_a_merge_patch_is_a_new_version(clinic: Clinic) -> None:
    """As fhirpy sends it too: plain JSON that is no Parameters."""
    body: Resource = {"resourceType": "Organization", "name": "North", "alias": ["N"]}
    service, path = clinic.service, reference(clinic.service.created(body))
    for kind, text in ((MERGE_PATCH, "South"), ("application/json", "East")):
        patch = json.dumps({"name": text, "alias": None})
        answer = service.ask("PATCH", path, patch, content_type=kind)
        assert answer.status_code == 200, answer.text
        assert (stored(answer)["name"], "alias" in stored(answer)) == (text, False)
    broken = service.ask("PATCH", path, '{"colour": "red"}', content_type=MERGE_PATCH)
    assert refusal(broken)[0] == 422
    assert versions(service, path) == 3


def test_plain_json_that_is_parameters_is_a_fhirpath_patch(clinic: Clinic) -> None:
    path = reference(clinic.amina.created(thread()))
    plain = {"content_type": "application/json"}
    answer = fhirpath_patch(clinic.amina, path, *REPLACE_STATUS, **plain)
    assert (answer.status_code, stored(answer)["status"]) == (200, "completed")


def test_a_thread_is_archived_with_its_event_by_either(clinic: Clinic, database_url: str) -> None:
    one, other = (clinic.amina.created(thread()) for _ in range(2))
    assert json_patch(clinic.amina, reference(one), ARCHIVE).status_code == 200
    assert fhirpath_patch(clinic.amina, reference(other), *REPLACE_STATUS).status_code == 200
    archived = "communication.thread.archived"
    assert events(database_url, clinic.tenant).count(archived) == 2
    assert refusal(clinic.amina.post(message(one)))[0] == 409


def test_a_sent_message_keeps_its_content(clinic: Clinic) -> None:
    sent = clinic.amina.created(message(clinic.amina.created(thread())))
    path = reference(sent)
    words = {"op": "replace", "path": "/payload/0/contentString", "value": "Other"}
    assert refusal(json_patch(clinic.amina, path, words)) == (409, "conflict")
    text = (part("type", valueCode="replace"), part("value", valueString="Other"))
    place = part("path", valueString="Communication.payload[0].content")
    assert refusal(fhirpath_patch(clinic.amina, path, *text, place)) == (409, "conflict")
    assert clinic.amina.get(path).json() == sent
    error = {"op": "replace", "path": "/status", "value": "entered-in-error"}
    assert refusal(json_patch(clinic.farid, path, error)) == (403, "forbidden")
    assert json_patch(clinic.amina, path, error).status_code == 200


def test_if_match_holds_the_version(clinic: Clinic) -> None:
    path = reference(clinic.amina.created(thread()))
    assert refusal(json_patch(clinic.amina, path, ARCHIVE, if_match='W/"2"')) == (412, "conflict")
    assert json_patch(clinic.amina, path, ARCHIVE, if_match='W/"1"').status_code == 200
    assert versions(clinic.amina, path) == 2


def test_prefer_minimal_sends_no_body(clinic: Clinic) -> None:
    path = reference(clinic.amina.created(thread()))
    answer = json_patch(clinic.amina, path, ARCHIVE, prefer="return=minimal")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, b"", 'W/"2"')


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"op": "test", "path": "/status", "value": "completed"}, 422),
        ({"op": "remove", "path": "/received"}, 422),
        ({"op": "replace", "path": "/status", "value": "zzz"}, 422),
        ({"op": "add", "path": "/colour", "value": "red"}, 422),
        ({"op": "remove", "path": "/status"}, 422),
        ({"op": "replace", "path": "/id", "value": "mine"}, 422),
        ({"op": "replace", "path": "/resourceType", "value": "Patient"}, 422),
        ({"op": "replace", "path": "", "value": {}}, 422),
        ({"op": "zap", "path": "/status"}, 400),
        ({"op": "remove", "path": "status"}, 400),
        (["remove"], 400),
    ],
)
def test_of_a_refused_patch_nothing_is_stored(
    clinic: Clinic, database_url: str, operation: Any, status: int
) -> None:
    path = reference(clinic.amina.created(thread()))
    before = events(database_url, clinic.tenant)
    words = {"op": "replace", "path": "/topic/text", "value": "Care"}
    answer = json_patch(clinic.amina, path, words, operation)
    assert refusal(answer)[0] == status
    assert versions(clinic.amina, path) == 1
    assert clinic.amina.get(path).json()["topic"] == {"text": "Plan"}
    assert events(database_url, clinic.tenant) == before


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (JSON_PATCH, b"{}", 400),
        (JSON_PATCH, b"[", 400),
        (JSON_PATCH, b"", 400),
        (JSON_PATCH, b'[{"op":"test","op":"add","path":"/id","value":"x"}]', 400),
        (JSON, b"[]", 400),
        (JSON, b'{"resourceType":"Communication"}', 400),
        (JSON, b'{"resourceType":"Parameters","parameter":[{"name":"x"}]}', 400),
        (MERGE_PATCH, b"[]", 400),
        ("application/xml-patch+xml", b"{}", 415),
        ("", b"{}", 415),
    ],
)
def test_a_broken_body_is_refused(clinic: Clinic, kind: str, body: bytes, status: int) -> None:
    path = reference(clinic.amina.created(thread()))
    answer = clinic.amina.ask("PATCH", path, body, content_type=kind)
    assert refusal(answer)[0] == status
    assert ("accept-patch" in answer.headers) is (status == 415)
    assert versions(clinic.amina, path) == 1


def test_the_refusal_names_the_operation(clinic: Clinic) -> None:
    path = reference(clinic.amina.created(thread()))
    test = {"op": "test", "path": "/status", "value": "completed"}
    issue = json_patch(clinic.amina, path, ARCHIVE, {**test, "value": "x"}).json()["issue"][0]
    assert issue["diagnostics"].startswith("operation 1 (test /status)")
    assert issue["expression"] == ["$this[1]"]
    sent = fhirpath_patch(clinic.amina, path, part("type", valueCode="delete")).json()["issue"][0]
    assert sent["expression"] == ["Parameters.parameter[0]"]


def test_what_is_not_there_cannot_be_patched(clinic: Clinic) -> None:
    assert refusal(json_patch(clinic.service, "Patient/none", ARCHIVE)) == (404, "not-found")
    assert refusal(json_patch(clinic.service, "Patient", ARCHIVE))[0] == 400
    clinic.service.delete("Patient/omid")
    assert refusal(json_patch(clinic.service, "Patient/omid", ARCHIVE))[0] in {404, 410}
    assert clinic.service.get("Patient/omid").status_code == 410


def test_a_patch_needs_the_scope_to_update(clinic: Clinic) -> None:
    path = reference(clinic.amina.created(thread()))
    reader = clinic.person("usr_amina", "DOCTOR", "user/Communication.rs")
    assert refusal(json_patch(reader, path, ARCHIVE)) == (403, "forbidden")
    writer = clinic.person("usr_amina", "DOCTOR", "user/Communication.u")
    assert json_patch(writer, path, ARCHIVE).status_code == 200


def test_a_test_tells_nothing_of_what_is_not_open(clinic: Clinic) -> None:
    sealed = clinic.amina.created(thread(patient=None))
    right, wrong = (
        {"op": "test", "path": "/topic/text", "value": value} for value in ("Plan", "x")
    )
    outsider = clinic.sami
    narrow = clinic.person(
        "usr_amina", "DOCTOR", "user/Communication.cruds?status=entered-in-error"
    )
    for person in (outsider, narrow, clinic.zahra):
        answers = [json_patch(person, reference(sealed), step, ARCHIVE) for step in (right, wrong)]
        assert refusal(answers[0]) == (403, "forbidden")
        assert answers[0].json() == answers[1].json()


def test_the_outcome_stays_in_what_the_scopes_cover(clinic: Clinic) -> None:
    path = reference(clinic.amina.created(thread()))
    narrow = clinic.person("usr_amina", "DOCTOR", "user/Communication.cruds?status=in-progress")
    words = {"op": "replace", "path": "/topic/text", "value": "Care"}
    assert json_patch(narrow, path, words).status_code == 200
    assert refusal(json_patch(narrow, path, ARCHIVE)) == (403, "forbidden")
    assert versions(clinic.amina, path) == 2


def test_every_type_that_can_be_updated_can_be_patched(client: httpx.Client) -> None:
    capability = client.get("/fhir/R4/metadata").json()
    assert capability["patchFormat"] == [JSON_PATCH, JSON, "application/fhir+xml", MERGE_PATCH]
    for resource in capability["rest"][0]["resource"]:
        codes = {interaction["code"] for interaction in resource["interaction"]}
        assert ("patch" in codes) is ("update" in codes)


def test_a_match_is_patched(clinic: Clinic) -> None:
    words = {"op": "replace", "path": "/topic/text", "value": "Care"}
    matching = "Communication?topic:missing=false"
    assert refusal(json_patch(clinic.amina, matching, words)) == (404, "not-found")
    first = clinic.amina.created(thread())
    answer = json_patch(clinic.amina, matching, words)
    assert (answer.status_code, answer.json()["topic"]) == (200, {"text": "Care"})
    assert versions(clinic.amina, reference(first)) == 2
    clinic.amina.created(thread())
    assert json_patch(clinic.amina, matching, words).status_code == 412
    assert refusal(json_patch(clinic.amina, "Communication", words))[0] == 400
    unmet = json_patch(clinic.amina, f"Communication?_id={first['id']}", words, if_match='W/"1"')
    assert unmet.status_code == 412
