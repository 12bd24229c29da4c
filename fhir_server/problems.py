"""The one error type every layer raises; each HTTP face renders it in its own shape.

Issue codes: https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["fatal", "error", "warning", "information"]

# v1 code for an HTTP status where the problem does not name one itself.
V1_CODES: Mapping[int, str] = {
    400: "VALIDATION_ERROR",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    409: "CONFLICT",
    410: "NOT_FOUND",
    412: "CONFLICT",
    413: "VALIDATION_ERROR",
    415: "VALIDATION_ERROR",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMITED",
    503: "DEPENDENCY_UNAVAILABLE",
}
# Those that a problem names itself.
NAMED_V1_CODES = ("ATTACHMENT_REJECTED", "INVALID_STATE_TRANSITION", "MODULE_NOT_LICENSED")
INTERNAL_ERROR = "INTERNAL_ERROR"
ALL_V1_CODES = frozenset({*V1_CODES.values(), *NAMED_V1_CODES, INTERNAL_ERROR})


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue: `code` is an issue-type code, `expression` a FHIRPath."""

    severity: Severity
    code: str
    diagnostics: str
    expression: str | None = None


class Problem(Exception):
    """A refused request: HTTP `status` and the issues that say why.

    `v1_code` names the error on the v1 face where the status alone does not.
    Diagnostics never repeat a value of the request, ids included; a name (of an element, a
    parameter, a type) they may.
    """

    def __init__(
        self,
        status: int,
        code: str,
        diagnostics: str,
        *,
        expression: str | None = None,
        issues: Sequence[Issue] = (),
        v1_code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(diagnostics)
        self.status = status
        self.diagnostics = diagnostics
        self.issues = tuple(issues) or (Issue("error", code, diagnostics, expression),)
        self.v1_code = v1_code or V1_CODES.get(status, INTERNAL_ERROR)
        self.headers = dict(headers or {})


def not_found(what: str) -> Problem:
    return Problem(404, "not-found", f"{what} not found")


def gone(what: str) -> Problem:
    return Problem(410, "deleted", f"{what} was deleted")


def forbidden(why: str, *, v1_code: str | None = None) -> Problem:
    return Problem(403, "forbidden", why, v1_code=v1_code)


def invalid(why: str, expression: str | None = None) -> Problem:
    return Problem(400, "invalid", why, expression=expression)


def conflict(why: str, *, v1_code: str | None = None) -> Problem:
    return Problem(409, "conflict", why, v1_code=v1_code)
