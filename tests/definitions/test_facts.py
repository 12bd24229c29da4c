from __future__ import annotations

import subprocess
import sys

import pytest

from fhir_server.definitions.facts import SERVED_TYPES, Facts, load_facts


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load_facts()


def test_every_served_type_has_structure_and_search(facts: Facts) -> None:
    for name in SERVED_TYPES:
        assert name in facts.resource_types
        assert facts.structures[name]["kind"] == "resource"
        assert {"_id", "_lastUpdated"} <= facts.search_parameters[name].keys()


def test_all_resource_types_of_r4_are_known(facts: Facts) -> None:
    assert len(facts.resource_types) == 146
    assert facts.resource_types <= facts.structures.keys()


def test_types_that_elements_name_are_there(facts: Facts) -> None:
    for structure in facts.structures.values():
        for element in structure["elements"].values():
            for name in element.get("type", ()):
                assert name in facts.structures or name[0].islower()


def test_search_parameter_has_only_its_own_types_expression(facts: Facts) -> None:
    patient = facts.search_parameters["Encounter"]["patient"]
    assert patient == {
        "url": "http://hl7.org/fhir/SearchParameter/clinical-patient",
        "code": "patient",
        "type": "reference",
        "expression": "Encounter.subject.where(resolve() is Patient)",
        "target": ["Patient"],
    }


def test_a_target_of_all_types_is_spelt_out(facts: Facts) -> None:
    assert len(facts.search_parameters["Communication"]["part-of"]["target"]) == 146


def test_communication_search_parameters_are_all_there(facts: Facts) -> None:
    codes = facts.search_parameters["Communication"].keys()
    assert {c for c in codes if not c.startswith("_")} == {
        "based-on", "category", "encounter", "identifier", "instantiates-canonical",
        "instantiates-uri", "medium", "part-of", "patient", "received", "recipient", "sender",
        "sent", "status", "subject",
    }  # fmt: skip


def test_patient_compartment(facts: Facts) -> None:
    assert facts.compartments["Patient"]["Communication"] == ["subject", "sender", "recipient"]


def test_value_set_has_its_codes(facts: Facts) -> None:
    codes = facts.value_sets["http://hl7.org/fhir/ValueSet/request-priority"]
    assert {code for _, code in codes} == {"routine", "urgent", "asap", "stat"}
    assert {system for system, _ in codes} == {"http://hl7.org/fhir/request-priority"}


def test_a_validator_stays_small() -> None:
    """Nothing is read before it is needed."""
    program = (
        "from fhir_server.definitions.facts import load_facts;"
        "from fhir_server.validation import Validator;"
        "v = Validator(load_facts());"
        "v.validate({'resourceType': 'Communication', 'status': 'completed'});"
        "print(open('/proc/self/status').read())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    words = done.stdout.decode().split()
    peak_mib = int(words[words.index("VmHWM:") + 1]) / 1024
    assert peak_mib < 60
