"""What is left of a resource has none of its words, whatever element they stood in."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.communication.gdpr.concerns import Concerns
from fhir_server.communication.gdpr.policy import FILE, read_policy
from fhir_server.communication.gdpr.redact import Redactor, build_redactor
from fhir_server.declarations import read_declarations
from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.shapes import Property
from fhir_server.interactions import Ref
from tests.support.clinic import message, thread

DECLARED = read_declarations()
POLICY = DECLARED.gdpr
REDACTOR: Redactor = build_redactor(POLICY, DECLARED.definitions, load_facts())
TYPES = tuple(POLICY.erase.types)
WORD = "geheim"
LABEL = POLICY.erase.label.coding
# What cannot spell a word.
PLAIN = {
    "boolean": True,
    "integer": 1,
    "positiveInt": 1,
    "unsignedInt": 1,
    "decimal": 1,
    "date": "2026-01-01",
    "dateTime": "2026-01-01",
    "instant": "2026-01-01T00:00:00Z",
    "time": "10:00:00",
}
DEEP = 3


def filled(name: str, depth: int = DEEP) -> dict[str, Any]:
    """An object with a word in each of its elements and beside each of its primitives. Codes with
    a required value set have one of its codes, which nothing else could be stored with."""
    found: dict[str, Any] = {}
    for key, one in r4_shapes().shape(name).properties.items():
        value = _value(name, one, depth)
        if value is None:
            continue
        found[key] = [value, value] if one.repeats else value
        if one.kind == "primitive":
            beside = {"id": WORD, "extension": [{"url": WORD, "valueString": WORD}]}
            found["_" + key] = [beside, beside] if one.repeats else beside
    return found


def _value(shape: str, one: Property, depth: int) -> Any:
    if one.kind == "primitive":
        bound = one.type == "code" and f"{shape}.{one.element}" in REDACTOR.bound
        return "bound" if bound else PLAIN.get(one.type, WORD)
    if one.kind in ("attribute", "xhtml"):
        return WORD
    if one.kind == "resource":
        return {"resourceType": "Basic", "id": WORD, "code": {"text": WORD}}
    return filled(one.type, depth - 1) if depth else None


@cache
def whole(type_: str) -> dict[str, Any]:
    """A resource of the type, full of words but in what the server itself says."""
    resource = filled(type_)
    meta = {**resource["meta"], "versionId": "1"}
    return {**resource, "resourceType": type_, "id": "x", "meta": meta}


@pytest.mark.parametrize("type_", TYPES)
def test_no_word_stays_in_any_element(type_: str) -> None:
    resource = whole(type_)
    assert WORD in json.dumps(resource)
    left = REDACTOR.redact(resource)
    assert WORD not in json.dumps(left), left
    assert LABEL in left["meta"]["security"]
    assert left["id"] == "x"


@pytest.mark.parametrize("type_", TYPES)
def test_to_redact_again_changes_nothing(type_: str) -> None:
    left = REDACTOR.redact(whole(type_))
    assert REDACTOR.redact(left) == left
    assert REDACTOR.is_redacted(left)


@given(st.sampled_from(TYPES), st.randoms(use_true_random=False))
def test_parts_of_a_resource_keep_no_word_either(type_: str, random: Any) -> None:
    """Whichever elements are there, and whichever are not."""
    resource = {
        key: value
        for key, value in whole(type_).items()
        if key in ("resourceType", "id") or random.random() < 0.3
    }
    left = REDACTOR.redact(resource)
    assert WORD not in json.dumps(left)
    assert REDACTOR.redact(left) == left


def test_who_wrote_to_whom_and_when_stays() -> None:
    said = {
        **message({"resourceType": "Communication", "id": "t"}, WORD),
        "sender": {"reference": "Practitioner/amina", "display": WORD},
        "recipient": [{"reference": "Patient/zahra", "display": WORD}, {"display": WORD}],
        "sent": "2026-01-01T00:00:00Z",
        "priority": "stat",
    }
    left = REDACTOR.redact(said)
    assert left["sender"] == {"reference": "Practitioner/amina"}
    assert left["recipient"] == [{"reference": "Patient/zahra"}]
    assert left["payload"] == [{"contentString": "[erased]"}]
    assert (left["sent"], left["priority"]) == (said["sent"], "stat")


def test_us_020_a_dispatch_loses_its_recipient() -> None:
    """dispatch_records recipient_ref removed."""
    record = {
        "resourceType": "Communication",
        "status": "completed",
        "basedOn": [{"reference": "CommunicationRequest/i"}],
        "recipient": [{"reference": "Patient/zahra"}],
    }
    left = REDACTOR.redact(record)
    assert "recipient" not in left
    assert left["basedOn"] == record["basedOn"]


def test_a_restricted_chart_stays_restricted() -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    patient = {"resourceType": "Patient", "meta": {"security": [{**label, "display": WORD}]}}
    assert label in REDACTOR.redact(patient)["meta"]["security"]


def test_references_elsewhere_do_not_stay() -> None:
    for text in (f"https://example.org/Patient/{WORD}", f"#{WORD}", WORD, f"{WORD}/1"):
        header = {**thread(), "sender": {"reference": text}}
        assert "sender" not in REDACTOR.redact(header)


def test_a_body_concerns_whom_the_searches_would_find() -> None:
    threads = {"Communication/t"}
    concerns = Concerns(POLICY, DECLARED.definitions, Ref("Patient", "zahra"), threads)
    here = {"resourceType": "Communication", "id": "t"}
    assert concerns.concerned(message(here))
    assert concerns.concerned(thread("Patient/zahra", patient=None))
    assert concerns.concerned({"resourceType": "Patient", "id": "zahra"})
    assert not concerns.concerned(message({**here, "id": "u"}))
    assert not concerns.concerned(thread(patient="Patient/omid"))
    assert not concerns.concerned({"resourceType": "Patient", "id": "omid"})
    task = {"resourceType": "Task", "for": {"reference": "Patient/zahra"}}
    assert concerns.concerned(task)
    system = "https://fhir.ghasi.af/CodeSystem/gdpr-request"
    assert not concerns.concerned(
        {**task, "code": {"coding": [{"system": system, "code": "erase"}]}}
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"hld": []}, "hld: Extra inputs are not permitted (did you mean hold?)"),
        ({"days": {"erase": 30}}, "days.export: at least one day"),
        ({"days": {"erse": 3}}, "days.erse: no such request (did you mean erase?)"),
        (
            {"erase": {"types": {"Comunication": {"keep": []}}}},
            "erase.types.Comunication: no such type (did you mean Communication?)",
        ),
        (
            {"erase": {"types": {"Task": {"keep": ["statuss"]}}}},
            "erase.types.Task.keep: no statuss (did you mean status?)",
        ),
        (
            {"erase": {"types": {"Task": {"keep": [], "instead": {"code_": {}}}}}},
            "erase.types.Task.instead: no code_ (did you mean code?)",
        ),
        (
            {"erase": {"types": {"Task": {"keep": [], "patient": ["subjct=$subject"]}}}},
            "erase.types.Task.subjct=$subject: no subjct (did you mean subject?)",
        ),
        (
            {"erase": {"types": {"Task": {"keep": [], "kinds": [{"when": "(", "drop": ["for"]}]}}}},
            "erase.types.Task.drop: no for",
        ),
    ],
)
def test_a_wrong_name_is_told(folder: Path, change: dict[str, Any], fault: str) -> None:
    declared = yaml.safe_load((declared_root() / "capability" / FILE).read_text())
    path = folder / FILE
    path.write_text(yaml.safe_dump({**declared, **change}))
    _, faults = read_policy(path, DECLARED.definitions)
    assert f"capability/{FILE}: {fault}" in faults, faults


def test_a_missing_policy_is_told(folder: Path) -> None:
    _, faults = read_policy(folder / "none.yaml", DECLARED.definitions)
    assert faults == ["capability/none.yaml: FileNotFoundError"]
