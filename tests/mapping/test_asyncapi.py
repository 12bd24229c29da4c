"""The published contract of the events."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from fhir_server.declarations import read_declarations
from fhir_server.mapping.asyncapi import asyncapi
from fhir_server.store.write import OutboxEvent
from fhir_server.workers.cloud_event import cloud_event
from fhir_server.workers.tenants import worker

MAPPINGS = read_declarations().mappings
DOCUMENT = asyncapi(MAPPINGS, "1")
# What had other subjects once.
OLD = {name for names in MAPPINGS.service.events.legacy.values() for name in names}


@pytest.mark.parametrize("type_", sorted(MAPPINGS.events))
def test_each_event_has_its_channel(type_: str) -> None:
    channel = DOCUMENT["channels"][type_]
    name = type_.removeprefix("communication.")
    assert channel["address"] == f"ghasi.digital_communication.{name}"
    old = {f"ghasi.messaging.{name}": "2027-06-30"} if name.partition(".")[0] in OLD else {}
    assert channel.get("x-legacy-addresses", {}) == old
    assert DOCUMENT["operations"][type_]["channel"] == {"$ref": f"#/channels/{type_}"}


@pytest.mark.parametrize("type_", sorted(MAPPINGS.events))
def test_the_payload_is_what_is_sent(type_: str) -> None:
    payload = DOCUMENT["channels"][type_]["messages"][type_]["payload"]
    Draft202012Validator.check_schema(payload)
    first = MAPPINGS.events[type_].schema["required"][0]
    pattern = MAPPINGS.events[type_].schema["properties"][first]["pattern"]
    prefix = pattern.removeprefix("^(").partition(")")[0]
    event = OutboxEvent("1", type_, "Communication/1", worker("t").now, {first: f"{prefix}1"})
    check = Draft202012Validator(payload)
    assert list(check.iter_errors(cloud_event("t", event))) == []
    for missing in payload["required"]:
        sent = cloud_event("t", event)
        del sent[missing]
        assert not check.is_valid(sent)
    assert not check.is_valid({**cloud_event("t", event), "data": {"body": "Bad news"}})
