"""Values longer than an index takes, wherever a search looks: stored and found, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bad_input.faces import well_shaped
from tests.bad_input.mutations import LONG
from tests.bad_input.world import FHIR, World

URL = f"https://x.example/{LONG}"
CODED = {"coding": [{"system": f"urn:{LONG}", "code": LONG, "display": LONG}], "text": LONG}
NAMED = {"identifier": [{"system": f"urn:{LONG}", "value": LONG, "type": CODED}]}
RESOURCES: dict[str, dict[str, Any]] = {
    "Patient": {
        **NAMED,
        "name": [{"family": LONG, "given": [LONG] * 3, "text": f"{LONG} {LONG}"}],
        "telecom": [{"system": "email", "value": LONG}],
        "address": [{"city": LONG, "line": [LONG], "postalCode": LONG, "country": LONG}],
        "managingOrganization": {"reference": URL},
        "link": [{"other": {"reference": URL}, "type": "seealso"}],
    },
    "Communication": {
        **NAMED,
        "status": "completed",
        "instantiatesCanonical": [URL],
        "instantiatesUri": [URL],
        "category": [CODED],
        "subject": {"reference": URL, "identifier": {"system": URL, "value": LONG}},
        "encounter": {"reference": URL},
        "sender": {"reference": URL},
        "recipient": [{"reference": f"{URL}{n}"} for n in range(3)],
        "basedOn": [{"reference": URL}],
        "partOf": [{"reference": URL}],
        "topic": CODED,
    },
    "CommunicationRequest": {
        "status": "active",
        "groupIdentifier": {"system": f"urn:{LONG}", "value": LONG},
        "subject": {"reference": URL},
        "requester": {"reference": URL},
        "category": [CODED],
    },
    "Encounter": {
        "status": "planned",
        "class": {"system": f"urn:{LONG}", "code": LONG},
        "length": {"value": 1, "system": f"urn:{LONG}", "code": LONG, "unit": LONG},
        "subject": {"reference": URL},
        "serviceProvider": {"reference": URL},
    },
    "Organization": {"name": LONG, "alias": [LONG, LONG], "partOf": {"reference": URL}},
    "Device": {"url": URL, "deviceName": [{"name": LONG, "type": "other"}], "udiCarrier": []},
    "Location": {"name": LONG, "position": {"longitude": 1e300, "latitude": -1e-300}},
    "HealthcareService": {"name": LONG, "type": [CODED], "program": [CODED]},
    "Basic": {"code": CODED, "subject": {"reference": URL}, "author": {"reference": URL}},
    "DocumentReference": {
        "status": "current",
        "masterIdentifier": {"system": f"urn:{LONG}", "value": LONG},
        "description": LONG,
        "content": [{"attachment": {"url": URL, "contentType": "text/plain"}}],
        "subject": {"reference": URL},
    },
    "Task": {"status": "draft", "intent": "order", "code": CODED, "focus": {"reference": URL}},
    "Group": {"type": "person", "actual": True, "code": CODED, "quantity": 2**31 - 1},
}


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_long_value_is_stored_and_found_or_refused(world: World, resource: str) -> None:
    body = {"resourceType": resource, **RESOURCES[resource]}
    response = world.ask("POST", f"{FHIR}/{resource}", json=body, caller="system")
    well_shaped(response)


@pytest.mark.parametrize(
    "resource",
    [(name, element) for name, body in RESOURCES.items() for element in body],
    ids=".".join,
)
def test_each_long_element_is_stored_or_refused(world: World, resource: tuple[str, str]) -> None:
    name, element = resource
    needed = ("status", "intent", "type", "actual", "class", "content", "code")
    kept = {k: v for k, v in RESOURCES[name].items() if k == element or k in needed}
    body = {"resourceType": name, **kept}
    response = world.ask("POST", f"{FHIR}/{name}", json=body, caller="system")
    well_shaped(response)
    if response.status_code == 201:
        read = world.ask("GET", f"{FHIR}/{name}/{response.json()['id']}", caller="system")
        assert read.content == response.content
