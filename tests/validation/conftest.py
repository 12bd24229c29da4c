"""One validator for all tests here: R4 alone, without the project's profiles."""

from __future__ import annotations

import pytest

from fhir_server.definitions.facts import Facts, load_facts
from fhir_server.validation import Validator
from fhir_server.validation.structure import Compiler


@pytest.fixture(scope="session")
def facts() -> Facts:
    return load_facts()


@pytest.fixture(scope="session")
def compiler(facts: Facts) -> Compiler:
    return Compiler(facts)


@pytest.fixture(scope="session")
def validator(facts: Facts) -> Validator:
    return Validator(facts)
