"""The smallest resource of a type that R4 allows, made from the R4 tables."""

from __future__ import annotations

from typing import Any

from fhir_server.definitions.facts import Facts
from fhir_server.validation.fields import title
from tests.support.clinic import Resource

# What a type's constraints ask for beyond its required elements.
ALSO: dict[str, Resource] = {
    "Appointment": {
        "status": "proposed",
        "participant": [{"status": "accepted", "actor": {"reference": "Patient/zahra"}}],
    },
    "Bundle": {"type": "collection"},
    "Organization": {"name": "North"},
    # A rest-hook, which is the first kind of channel, is sent to an address.
    "Subscription": {
        "channel": {"type": "rest-hook", "endpoint": "https://subscriber.example/hook"}
    },
}
VALUES: dict[str, Any] = {
    "boolean": True,
    "code": "text/plain",
    "dateTime": "2026-01-31",
    "instant": "2026-01-31T09:00:00Z",
    "uri": "https://example.org/x",
    "url": "https://example.org/x",
    "canonical": "https://example.org/x",
    "markdown": "x",
    "string": "x",
    "positiveInt": 1,
    "unsignedInt": 1,
    "CodeableConcept": {"text": "x"},
    "Coding": {"system": "https://example.org/codes", "code": "x"},
    "Identifier": {"value": "x"},
    "Attachment": {"url": "https://example.org/x"},
}


def smallest(facts: Facts, type: str) -> Resource:
    """A new resource, without an id."""
    elements = facts.structures[type]["elements"]
    return {"resourceType": type, **_required(facts, elements, type), **ALSO.get(type, {})}


def _required(facts: Facts, elements: Any, path: str) -> Resource:
    found: Resource = {}
    for child, facts_of in elements.items():
        parent, _, name = child.rpartition(".")
        if parent == path and facts_of.get("min"):
            key, value = _value(facts, elements, child, facts_of)
            key = key or name
            found[key] = [value] if facts_of.get("max", "1") != "1" else value
    return found


def _value(facts: Facts, elements: Any, path: str, element: Any) -> tuple[str, Any]:
    kind = element["type"][0]
    name = path.rpartition(".")[2]
    key = name.replace("[x]", title(kind)) if name.endswith("[x]") else ""
    if kind == "BackboneElement":
        return key, _required(facts, elements, path)
    if kind == "Reference":
        return key, {"reference": f"{element.get('target', ['Patient'])[0]}/zahra"}
    if element.get("binding") not in facts.value_sets:
        return key, VALUES[kind]
    system, code = facts.value_sets.ordered(element["binding"])[0]
    coding = {"system": system, "code": code}
    return key, {"code": code, "Coding": coding, "CodeableConcept": {"coding": [coding]}}[kind]
