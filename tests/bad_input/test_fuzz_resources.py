"""Resources and v1 bodies at random: stored and read again, or refused in shape; never a 5xx."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bad_input.faces import well_shaped
from tests.bad_input.mutations import json_values, mutated, names
from tests.bad_input.world import FHIR, V1, World
from tests.support.effort import effort

often = settings(
    max_examples=effort(150),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@given(resource=mutated(), caller=st.sampled_from(["system", "system", "doctor", "patient"]))
@often
def test_a_resource_is_stored_or_refused(
    world: World, resource: dict[str, Any], caller: str
) -> None:
    path = f"{FHIR}/{resource['resourceType']}"
    response = world.ask("POST", path, json=resource, caller=caller)
    well_shaped(response)
    if response.status_code == 201:
        stored = world.ask("GET", f"{path}/{response.json()['id']}", caller=caller)
        assert stored.json() == response.json()


@given(resource=mutated())
@often
def test_an_update_is_stored_or_refused(world: World, resource: dict[str, Any]) -> None:
    resource = {**resource, "id": "fuzzed"}
    path = f"{FHIR}/{resource['resourceType']}/fuzzed"
    well_shaped(world.ask("PUT", path, json=resource, caller="system"))


@given(resource=mutated())
@often
def test_whatever_is_validated_gets_an_outcome(world: World, resource: dict[str, Any]) -> None:
    path = f"{FHIR}/{resource['resourceType']}/$validate"
    response = world.ask("POST", path, json=resource, caller="system")
    well_shaped(response)
    if response.status_code == 200:
        assert response.json()["resourceType"] == "OperationOutcome"


@given(value=json_values, name=st.sampled_from(["resource", "profile", "mode", "x"]))
@often
def test_validate_takes_any_parameters(world: World, value: Any, name: str) -> None:
    for parameter in (
        value,
        [value],
        [{"name": name, "resource": value}],
        [
            {"name": "resource", "resource": {"resourceType": "Patient"}},
            {"name": name, **_v(value)},
        ],
    ):
        body = {"resourceType": "Parameters", "parameter": parameter}
        well_shaped(world.ask("POST", f"{FHIR}/Patient/$validate", json=body))


@given(value=json_values)
@often
def test_an_operation_takes_any_parameters(world: World, value: Any) -> None:
    path = f"{FHIR}/Communication/{world.ids['thread']}/$mark-read"
    for parameter in (
        value,
        [{"name": "message", "valueReference": value}],
        [{"name": "message", "valueReference": {"reference": value}}],
        [
            {
                "name": "message",
                "valueReference": {"reference": f"Communication/{world.ids['message']}"},
            },
            {"name": "readAt", "valueInstant": value},
        ],
    ):
        body = {"resourceType": "Parameters", "parameter": parameter}
        well_shaped(world.ask("POST", path, json=body))


def _v(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"valueUri": value, "valueCanonical": value}


FIELDS: dict[str, dict[str, Any]] = {
    "/threads": {
        "participantIds": ["usr_farid"],
        "subject": "x",
        "patientId": "pat_zahra",
        "encounterId": None,
    },
    "/threads/thr_{thread}/messages": {"body": "x", "urgency": "urgent", "attachmentIds": []},
    "/threads/thr_{thread}/read": {"messageIds": ["msg_{message}"], "readAt": None},
}


@given(data=st.data())
@often
def test_a_v1_body_is_taken_or_refused(world: World, data: st.DataObject) -> None:
    template = data.draw(st.sampled_from(list(FIELDS)))
    name = st.sampled_from(list(FIELDS[template])) | names
    changes = data.draw(st.dictionaries(name, json_values, max_size=3))
    body = {**FIELDS[template], **changes}
    response = world.ask("POST", V1 + template.format(**world.ids), json=body)
    well_shaped(response)


@given(body=json_values)
@often
def test_a_body_of_any_json_is_taken_or_refused(world: World, body: Any) -> None:
    for path in (f"{V1}/threads", f"{FHIR}/Communication", f"{FHIR}/Basic"):
        well_shaped(world.ask("POST", path, json=body))


@given(body=st.binary(max_size=200))
@often
def test_bytes_are_refused(world: World, body: bytes) -> None:
    for path in (f"{V1}/threads", f"{FHIR}/Communication"):
        response = world.ask("POST", path, content=body)
        well_shaped(response)
        assert response.status_code >= 400
