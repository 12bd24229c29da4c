"""The official cases and examples, and that docs/conformance.md says what this run gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_server.definitions.facts import load_facts
from fhir_server.validation import Validator
from tests import conformance
from tests.support.official import examples, needs_shared


@pytest.fixture(scope="module")
def outcomes() -> list[conformance.Outcome]:
    return conformance.run(Validator(load_facts(), [conformance.PATIENT_IG]))


@needs_shared
def test_every_official_case_has_the_verdict_of_the_reference_validator(
    outcomes: list[conformance.Outcome],
) -> None:
    assert len(outcomes) > 40
    assert [outcome.case["id"] for outcome in outcomes if not outcome.agrees] == []


@needs_shared
def test_no_error_is_far_from_where_the_reference_validator_sees_it(
    outcomes: list[conformance.Outcome],
) -> None:
    for outcome in outcomes:
        for issue in outcome.case["issues"] if not outcome.case["valid"] else ():
            nearness = conformance.nearness(issue.get("expression"), outcome.errors)
            assert nearness != "elsewhere", (outcome.case["id"], issue, outcome.errors)


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_official_example_is_accepted(validator: Validator, path: Path) -> None:
    found = validator.validate_text(path.read_bytes())
    assert [issue for issue in found if issue.severity == "error"] == []


@needs_shared
def test_document_says_what_the_run_gives() -> None:
    assert conformance.DOCUMENT.read_text("utf-8") == conformance.document(), (
        "run: python -m tests.conformance"
    )
