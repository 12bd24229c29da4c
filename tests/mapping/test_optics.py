"""What lists, pointers and groups do on concrete resources."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.mapping.codec import MISSING, Refused
from fhir_server.mapping.field import Field
from fhir_server.mapping.loader import Mappings

RECEIPT = "https://fhir.ghasi.af/StructureDefinition/read-receipt"


def field(mappings: Mappings, file: str, name: str) -> Field:
    return mappings.files[file].fields[name]


def test_a_reference_pointed_elsewhere_drops_the_old_display(mappings: Mappings) -> None:
    subject = field(mappings, "thread", "patientId")
    resource = {"subject": {"reference": "Patient/a", "display": "A"}}
    subject.put(resource, subject.encode("pat_a"))
    assert resource == {"subject": {"reference": "Patient/a", "display": "A"}}
    subject.put(resource, subject.encode("pat_b"))
    assert resource == {"subject": {"reference": "Patient/b"}}


def test_a_list_keeps_the_entries_that_stay_and_those_v1_cannot_name(mappings: Mappings) -> None:
    participants = field(mappings, "thread", "participantIds")
    resource: dict[str, Any] = {
        "recipient": [
            {"reference": "Practitioner/a", "display": "A"},
            {"reference": "CareTeam/t"},
            {"reference": "Patient/b"},
        ]
    }
    assert participants.get(resource) == ["usr_a", "pat_b"]
    participants.put(resource, participants.encode(["usr_c", "usr_a"]))
    assert resource["recipient"] == [
        {"reference": "Practitioner/c"},
        {"reference": "CareTeam/t"},
        {"reference": "Practitioner/a", "display": "A"},
    ]


def test_a_logical_parent_is_no_place_for_the_thread(mappings: Mappings) -> None:
    thread = field(mappings, "message", "threadId")
    resource: dict[str, Any] = {"partOf": [{"identifier": {"value": "x"}}]}
    thread.put(resource, "Communication/t")
    assert resource["partOf"] == [{"identifier": {"value": "x"}}, {"reference": "Communication/t"}]


def test_two_fields_share_a_list_and_do_not_touch_each_other(mappings: Mappings) -> None:
    body, files = (field(mappings, "message", n) for n in ("body", "attachmentIds"))
    resource: dict[str, Any] = {}
    body.put(resource, "hello")
    files.put(resource, files.encode(["att_1", "att_2"]))
    body.put(resource, "bye")
    files.put(resource, files.encode(["att_2"]))
    assert resource["payload"] == [
        {"contentString": "bye"},
        {"contentReference": {"reference": "DocumentReference/2"}},
    ]


def test_a_group_is_found_by_its_key(mappings: Mappings) -> None:
    receipts = field(mappings, "message", "readBy")
    resource: dict[str, Any] = {}
    first = {"readerId": "usr_a", "readAt": "2026-01-01T00:00:00.000Z"}
    receipts.put(resource, receipts.encode([first]))
    resource["extension"][0]["id"] = "kept"
    later = {"readerId": "usr_a", "readAt": "2026-01-02T00:00:00.000Z"}
    receipts.put(resource, receipts.encode([later]))
    assert receipts.get(resource) == [later]
    assert resource["extension"][0]["id"] == "kept"
    assert resource["extension"][0]["url"] == RECEIPT


def test_removing_takes_empty_elements_along(mappings: Mappings) -> None:
    resource: dict[str, Any] = {}
    for name, value in (("subject", "hi"), ("participantIds", ["Practitioner/a"])):
        field(mappings, "thread", name).put(resource, value)
    for name in ("subject", "participantIds"):
        field(mappings, "thread", name).put(resource, None)
    assert resource == {}


def test_a_code_without_a_v1_word_is_not_there(mappings: Mappings) -> None:
    assert field(mappings, "thread", "state").get({"status": "entered-in-error"}) is MISSING


@pytest.mark.parametrize(
    ("file", "name", "value", "error"),
    [
        ("thread", "patientId", "usr_a", "must be an id that begins with pat_"),
        ("thread", "patientId", "pat_", "must be an id that begins with pat_"),
        ("thread", "patientId", "pat_a b", "must be an id that begins with pat_"),
        ("thread", "patientId", "pat_" + "a" * 65, "must be an id that begins with pat_"),
        ("thread", "patientId", 7, "must be an id that begins with pat_"),
        ("thread", "participantIds", "usr_a", "must be a list"),
        ("thread", "subject", "", "must not be empty"),
        ("thread", "subject", " \n", "must not be empty"),
        ("thread", "subject", None, "must be a string"),
        ("message", "urgency", "stat", "must be one of routine, urgent, emergent"),
        ("message", "sentAt", "2026-02-30T00:00:00Z", "must be a date and time"),
        ("message", "sentAt", "2026-02-01", "must have a time and a time zone"),
        ("message", "sentAt", "2026-02-01T00:00:00", "must have a time and a time zone"),
        ("message", "readBy", [7], "must be an object"),
        ("message", "readBy", [{"readerid": "usr_a"}], r"is not known \(did you mean readerId\?\)"),
    ],
)
def test_refused_values(mappings: Mappings, file: str, name: str, value: Any, error: str) -> None:
    with pytest.raises(Refused, match=error):
        field(mappings, file, name).encode(value)


def audited(*entities: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "AuditEvent", "entity": list(entities)}


def entity(role: Any, reference: str) -> dict[str, Any]:
    return {"role": {"code": role}, "what": {"reference": reference}}


def test_an_entry_is_picked_by_a_value_deep_in_it(mappings: Mappings) -> None:
    thing = field(mappings, "audit_log", "resources")
    resource = audited(entity("1", "Patient/a"), {"role": "4"}, {}, entity("4", "Encounter/e"))
    assert thing.get(resource) == ["Encounter/e"]
    empty: dict[str, Any] = {}
    thing.put(empty, thing.encode(["Encounter/e"]))
    assert empty == {"entity": [entity("4", "Encounter/e")]}
    thing.put(empty, None)
    assert empty == {}


def test_an_entry_is_picked_by_a_truth(mappings: Mappings) -> None:
    """Which is no text, and no number."""
    address = field(mappings, "audit_log", "address")
    agents = [
        {"requestor": said, "network": {"address": name}}
        for said, name in ((False, "a"), ("true", "b"), (1, "c"), (True, "d"))
    ]
    assert address.get({"agent": agents}) == "d"


@pytest.mark.parametrize("raw", ["Patient/a", "Encounter/0-9.Z", "Patient/a/_history/2"])
def test_a_reference_to_anything_is_itself(mappings: Mappings, raw: str) -> None:
    thing = field(mappings, "audit_log", "resources")
    assert thing.encode([raw]) == [raw]
    assert thing.get(audited(entity("4", raw))) == [raw]


@pytest.mark.parametrize(
    "raw", ["", "Patient", "Patient/", "/a", "Patiant/a", "Patient/a/b", "Patient/a b", 7, None]
)
def test_what_is_no_reference(mappings: Mappings, raw: Any) -> None:
    thing = field(mappings, "audit_log", "resources")
    assert thing.get(audited(entity("4", raw))) is MISSING
    with pytest.raises(Refused, match="must be a type and an id"):
        thing.encode([raw])


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("YQ==", "a"),
        ("2LLZhw==", "زه"),
        ("YQ", MISSING),
        ("/w==", MISSING),
        ("é", MISSING),
        (7, MISSING),
    ],
)
def test_a_text_that_is_kept_as_base64(mappings: Mappings, raw: Any, text: Any) -> None:
    query = field(mappings, "audit_log", "query")
    assert query.get(audited({"role": {"code": "24"}, "query": raw})) == text
