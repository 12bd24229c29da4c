"""Problems and issues as OperationOutcomes."""

from __future__ import annotations

from fhir_server.fhir import outcome
from fhir_server.problems import Issue, invalid


def test_a_problem() -> None:
    assert outcome.of_problem(invalid("no", "Patient.name")) == {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "invalid",
                "details": {"text": "no"},
                "diagnostics": "no",
                "expression": ["Patient.name"],
            }
        ],
    }


def test_an_issue_without_a_place_has_no_expression() -> None:
    assert "expression" not in outcome.of_issues([Issue("warning", "invalid", "x")])["issue"][0]


def test_no_issue_is_said_too() -> None:
    assert outcome.of_issues([])["issue"][0]["severity"] == "information"
