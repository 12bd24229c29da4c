"""Law: whatever JSON object comes, the validator answers with issues, never with an exception."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.definitions.facts import SERVED_TYPES, load_facts
from fhir_server.validation import Validator
from fhir_server.validation.primitives import TESTS
from fhir_server.validation.structure import Compiler
from tests.support.effort import effort
from tests.support.official import ROOT

FACTS = load_facts()
COMPILER = Compiler(FACTS)
FILES = sorted((ROOT / "profiles").glob("*.json"))
DECLARED = [json.loads(path.read_text("utf-8")) for path in FILES]
PROFILES = [one for one in DECLARED if one["resourceType"] == "StructureDefinition"]
URLS = [one["url"] for one in PROFILES if one["type"] != "Extension"]
VALUE_SETS = [one for one in DECLARED if one["resourceType"] == "ValueSet"]
VALIDATOR = Validator(FACTS, PROFILES, VALUE_SETS)

CORE = "http://hl7.org/fhir/StructureDefinition/"
# Objects that look like resources: the names are right, the values are anything.
NAMES = sorted({name for t in SERVED_TYPES for name in COMPILER.node(t).fields} | {"x", "_x", ""})
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
SCALARS |= st.sampled_from(["#", "#a", "Patient/1", "2024-02-30", "http://a.b/c", "_", *NAMES])
EXTENSIONS = [one["url"] for one in PROFILES if one["type"] == "Extension"] + ["http://a.b/c"]
EXTENSIONS += [CORE + "patient-birthTime", CORE + "patient-nationality", "reader"]
JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries({"url": st.sampled_from(EXTENSIONS), "extension": st.lists(inner)})
        | st.dictionaries(st.sampled_from([*NAMES, "url", "valueString", "reference"]), inner)
        | st.fixed_dictionaries({"resourceType": st.sampled_from(SERVED_TYPES), "id": inner})
    ),
    max_leaves=24,
)


@given(st.sampled_from([*SERVED_TYPES, "zzz", ""]), st.data())
@settings(max_examples=effort(300))
def test_no_object_makes_the_validator_fail(name: str, data: st.DataObject) -> None:
    known = sorted(COMPILER.node(name).fields) if name in SERVED_TYPES else ["id"]
    resource = data.draw(st.dictionaries(st.sampled_from(known), JUNK, max_size=6))
    resource["resourceType"] = name
    assert isinstance(VALIDATOR.validate(resource, ["http://nowhere/profile", *URLS]), list)


def test_nesting_without_end_is_an_issue_not_a_crash() -> None:
    part: dict[str, Any] = {"name": "x", "valueString": "y"}
    for _ in range(3000):
        part = {"name": "x", "part": [part]}
    found = VALIDATOR.validate({"resourceType": "Parameters", "parameter": [part]})
    assert [issue.code for issue in found] == ["too-costly"]


def test_contained_resources_without_end_are_an_issue_and_cost_nothing() -> None:
    names = [f"p{n}" for n in range(20_000)]
    resource = {
        "resourceType": "Communication",
        "status": "completed",
        "contained": [{"resourceType": "Patient", "id": name} for name in names],
        "about": [{"reference": f"#{name}"} for name in names],
    }
    found = VALIDATOR.validate(resource)
    assert [(issue.severity, issue.code) for issue in found] == [("error", "too-costly")]


def test_every_profile_of_r4_can_be_put_to_use() -> None:
    for url, profile in FACTS.profiles.items():
        if profile["type"] in FACTS.resource_types:
            assert VALIDATOR.validate({"resourceType": profile["type"]}, [url])
        elif profile["type"] == "Extension":
            extended = {"resourceType": "Basic", "extension": [{"url": url, "valueCode": "x"}]}
            assert VALIDATOR.validate(extended)


def test_every_primitive_has_a_test() -> None:
    used = {
        type_name
        for structure in FACTS.structures.values()
        for element in structure["elements"].values()
        for type_name in element.get("type", ())
        if type_name[0].islower()
    }
    assert used <= set(TESTS)
