from __future__ import annotations

import json

import pytest

from fhir_server.definitions.facts import Facts
from fhir_server.validation import Validator
from tests.support.official import ROOT


def profile(path: str, on: str = "Communication", expression: str = "true") -> dict[str, object]:
    rule = {"key": "t-1", "severity": "error", "human": "x", "expression": expression}
    element = {"path": path, "constraint": [rule]}
    return {"url": "http://t/p", "type": on, "differential": {"element": [element]}}


@pytest.mark.parametrize(
    "path",
    [
        "Communication",
        "Communication.payload.content[x]",
        "Communication.partOf.reference",
        "Communication.sent.extension.value[x].coding",
        "Communication.contained.anything",
        "Communication.note.text",
    ],
)
def test_path_that_the_type_has(facts: Facts, path: str) -> None:
    assert Validator(facts, [profile(path)]).mistakes() == []


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("Communication.payloads", "no element payloads (did you mean payload?)"),
        ("Communication.payload.content", "no element content (did you mean content[x]?)"),
        ("Communication.payload.x", "Communication.payload has no element x"),
        ("Communication.sender.referenc", "Reference has no element referenc"),
        ("Patient.name", "the profile is one of Communication"),
    ],
)
def test_path_that_the_type_has_not(facts: Facts, path: str, complaint: str) -> None:
    found = Validator(facts, [profile(path)]).mistakes()
    assert len(found) == 1
    assert complaint in found[0]


def test_invariant_that_cannot_be_read(facts: Facts) -> None:
    found = Validator(facts, [profile("Communication", expression="payload.where(")]).mistakes()
    assert len(found) == 1
    assert "t-1" in found[0]


def test_the_projects_own_profiles_have_no_mistakes(facts: Facts) -> None:
    files = sorted((ROOT / "profiles").glob("StructureDefinition-*.json"))
    declared = [json.loads(path.read_text("utf-8")) for path in files]
    validator = Validator(facts, declared)
    assert validator.mistakes() == []
    for resource in declared:
        found = validator.validate(resource)
        assert [i for i in found if i.severity == "error"] == [], resource["url"]
