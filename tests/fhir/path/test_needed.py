"""What a path needs is true of every declared path and every official example."""

from __future__ import annotations

import json

import pytest

from fhir_server.definitions.model import Definitions
from fhir_server.fhir.path import compile
from fhir_server.fhir.path.needed import needed
from tests.support.official import examples, needs_shared


@pytest.mark.parametrize(
    ("expression", "keys"),
    [
        ("Patient.active", {"active", "_active"}),
        ("Patient.name.family", {"name", "_name"}),
        ("Patient.telecom.where(system='email')", {"telecom", "_telecom"}),
        ("Communication.subject.where(resolve() is Patient)", {"subject", "_subject"}),
        ("Patient.deceased.exists() and Patient.deceased != false", None),
        ("Patient.active.exists()", None),
        ("Patient.name.where(use='x').exists()", None),
        ("(Patient.deceased as dateTime)", None),
        ("A.sender | A.recipient", None),
        ("A.where(partOf.exists()).recipient", None),
        ("A.extension('x')", None),
    ],
)
def test_plain_paths_only(expression: str, keys: set[str] | None) -> None:
    found = needed(expression)
    assert (found is None) == (keys is None)
    # An element of that name has a choice of types elsewhere.
    assert (found or frozenset()) >= (keys or set())


def test_choices_have_many_names() -> None:
    keys = needed("Patient.deceased") or frozenset()
    assert {"deceasedBoolean", "deceasedDateTime", "_deceasedDateTime"} <= keys


@needs_shared
def test_without_its_keys_a_path_yields_nothing(definitions: Definitions) -> None:
    looked = 0
    for file in examples():
        resource = json.loads(file.read_text("utf-8"))
        served = definitions.types.get(resource["resourceType"])
        for parameter in served.search.values() if served else ():
            keys = needed(parameter.expression or "")
            if keys is not None and keys.isdisjoint(resource):
                looked += 1
                assert compile(parameter.expression).values(resource) == []
    assert looked > 100
