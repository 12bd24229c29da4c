"""The document describes what the server does: it is checked against real answers."""

from __future__ import annotations

import re
from typing import Any

import httpx
import jsonschema
import pytest

from fhir_server.declarations import read_declarations
from tests.v1.conftest import BASE, Ward, refused


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


def check(document: dict[str, Any], path: str, method: str, answer: httpx.Response) -> None:
    """The answer has a status and a shape that the document tells of."""
    responses = document["paths"][path][method]["responses"]
    schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(answer.json())


def test_a_conversation_is_as_described(ward: Ward, document: dict[str, Any]) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    one = BASE + "/threads/{threadId}"
    body = {"participantIds": ["usr_farid"], "subject": "x", "patientId": "pat_zahra"}
    opened = amina.post("/threads", body)
    check(document, BASE + "/threads", "post", opened)
    thread = opened.json()["threadId"]
    sent = amina.post(f"/threads/{thread}/messages", {"body": "x"})
    check(document, one + "/messages", "post", sent)
    check(document, BASE + "/threads", "get", farid.get("/threads"))
    check(document, one + "/messages", "get", farid.get(f"/threads/{thread}/messages"))
    read = farid.read(thread, sent.json()["messageId"])
    check(document, one + "/read", "post", read)
    check(document, one, "get", farid.get(f"/threads/{thread}"))
    check(document, one + "/archive", "patch", farid.patch(f"/threads/{thread}/archive"))
    check(document, one + "/archive", "patch", farid.patch(f"/threads/{thread}/archive"))
    for missing in (farid.get("/threads/thr_none"), farid.get("/threads/none")):
        check(document, one, "get", missing)


def test_every_route_names_its_scope_licence_and_refusals(document: dict[str, Any]) -> None:
    operations = {
        operation["operationId"]: operation
        for path, methods in document["paths"].items()
        if path.startswith("/v1")
        for operation in methods.values()
    }
    scopes = {route.id: route.declared.scope for route in read_declarations().mappings.routes}
    assert set(operations) == set(scopes)
    for name, operation in operations.items():
        assert operation["security"] == [{"bearer": [scopes[name]]}]
        assert {"400", "401", "403", "503"} <= set(operation["responses"])
    keys = [p for p in operations["sendMessage"]["parameters"] if p["name"] == "Idempotency-Key"]
    assert keys[0]["required"] is True


def test_request_bodies_say_what_is_needed(document: dict[str, Any]) -> None:
    operation = document["paths"][BASE + "/threads/{threadId}/messages"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["body"]
    assert schema["properties"]["urgency"] == {
        "type": "string",
        "enum": ["routine", "urgent", "emergent"],
        "default": "routine",
    }
    assert schema["additionalProperties"] is False


def test_every_operation_has_its_own_name_and_its_path_parameters(
    document: dict[str, Any],
) -> None:
    names = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            listed = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert listed == set(re.findall(r"\{(\w+)\}", path))
    assert len(names) == len(set(names))


def test_the_fhir_half_is_what_capability_serves(
    document: dict[str, Any], client: httpx.Client
) -> None:
    statement = client.get("/fhir/R4/metadata").json()
    for resource in statement["rest"][0]["resource"]:
        path = f"/fhir/R4/{resource['type']}"
        codes = {i["code"] for i in resource["interaction"]}
        assert ("search-type" in codes) == ("get" in document["paths"].get(path, {}))
        assert ("read" in codes) == ("get" in document["paths"].get(path + "/{id}", {}))
        searched = {p["name"] for p in document["paths"][path]["get"]["parameters"]}
        assert {p["name"] for p in resource.get("searchParam", ())} <= searched
    assert "post" in document["paths"]["/fhir/R4/Communication/{id}/$mark-read"]


def test_every_route_refuses_a_caller_without_a_token(
    document: dict[str, Any], client: httpx.Client
) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/v1"):
                address = path.replace("{threadId}", "thr_a")
                assert refused(client.request(method, address)) == (401, "UNAUTHENTICATED")
            elif operation.get("security") != []:
                address = path.replace("{id}", "a").replace("{version}", "1")
                assert client.request(method, address).status_code == 401


def test_an_export_is_described_as_files(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/audit-logs/export"]["get"]
    assert set(operation["responses"]["200"]["content"]) == {
        "text/csv",
        "application/x-ndjson",
        "application/fhir+ndjson",
    }
    parameters = {one["name"]: one["schema"] for one in operation["parameters"]}
    assert parameters["format"]["enum"] == ["csv", "ndjson", "fhir"]
    assert not {"limit", "cursor"} & set(parameters)
    listed = document["paths"]["/v1/audit-logs"]["get"]["parameters"]
    assert {"limit", "cursor"} | set(parameters) - {"format"} == {one["name"] for one in listed}
