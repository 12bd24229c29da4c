"""OperationOutcome: how FHIR says what went wrong, or what deserves attention.

The words stand in `diagnostics` and in `details.text`: some clients show their users the one, some
the other.
https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.problems import Issue, Problem

_ALL_OK = Issue("information", "informational", "All OK")


def of_problem(problem: Problem) -> dict[str, Any]:
    return of_issues(problem.issues)


def of_issues(issues: Iterable[Issue]) -> dict[str, Any]:
    """The outcome with those issues; without any it says so, since `issue` is required."""
    found = [_element(issue) for issue in issues] or [_element(_ALL_OK)]
    return {"resourceType": "OperationOutcome", "issue": found}


def _element(issue: Issue) -> dict[str, Any]:
    element: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "details": {"text": issue.diagnostics},
        "diagnostics": issue.diagnostics,
    }
    if issue.expression:
        element["expression"] = [issue.expression]
    return element
