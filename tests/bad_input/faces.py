"""How each face says no, and what no refusal or log may ever contain."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any

import httpx

# A word that stands for all that is known of a patient.
MARKER = "Zerfoghondi"
ISSUE_CODES = frozenset(
    word
    for line in (
        "invalid structure required value invariant security login unknown expired forbidden",
        "suppressed processing not-supported duplicate multiple-matches not-found deleted too-long",
        "code-invalid extension too-costly business-rule conflict transient lock-error no-store",
        "exception timeout incomplete throttled informational",
    )
    for word in line.split()
)
V1_CODES = frozenset(
    {
        "ATTACHMENT_REJECTED",
        "CONFLICT",
        "FORBIDDEN",
        "INVALID_STATE_TRANSITION",
        "METHOD_NOT_ALLOWED",
        "MODULE_NOT_LICENSED",
        "NOT_ACCEPTABLE",
        "NOT_FOUND",
        "RATE_LIMITED",
        "UNAUTHENTICATED",
        "VALIDATION_ERROR",
    }
)
INNARDS = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|sqlalchemy|psycopg|orjson"
    r"|\bSELECT\b|\bINSERT\b|\bUPDATE\b.*\bSET\b|row-level|duplicate key value|pg_",
)


def refused(response: httpx.Response, *statuses: int) -> None:
    """A 4xx (one of `statuses` where given) in the shape of the face, that gives nothing away."""
    assert response.status_code in (statuses or range(400, 500)), told(response)
    well_shaped(response)


def well_shaped(response: httpx.Response) -> None:
    """Never a 5xx; an error is in the face's own words and reveals neither code nor patient."""
    assert response.status_code < 500, told(response)
    if response.status_code < 400:
        return
    discreet(response.text)
    assert MARKER not in str(response.headers)
    if response.request.method == "HEAD":
        return
    if response.request.url.path.startswith("/fhir/R4"):
        _operation_outcome(response)
    else:
        _envelope(response)


def told(response: httpx.Response) -> str:
    """What was asked and answered, for a failing assertion."""
    asked = response.request
    return f"{asked.method} {asked.url}: {response.status_code} {response.text[:500]}"


def discreet(text: str) -> None:
    """No stack trace, no SQL, no word of a patient."""
    assert MARKER not in text, text[:500]
    assert not INNARDS.search(text), text[:500]


def quiet(records: Iterable[logging.LogRecord]) -> None:
    """Nothing went wrong inside, and no log holds a word of a patient."""
    for record in records:
        text = logging.Formatter().format(record)
        assert MARKER not in text, text[:500]
        assert record.levelno < logging.ERROR, text


def _operation_outcome(response: httpx.Response) -> None:
    assert response.headers["content-type"] == "application/fhir+json"
    outcome: dict[str, Any] = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"]
    for issue in outcome["issue"]:
        assert issue["severity"] in ("fatal", "error", "warning", "information")
        assert issue["code"] in ISSUE_CODES
        assert issue["diagnostics"]
        assert all(isinstance(place, str) for place in issue.get("expression", ()))


def _envelope(response: httpx.Response) -> None:
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"success", "error"}
    assert response.json()["success"] is False
    error = response.json()["error"]
    assert error.keys() == {"code", "message", "details"}
    assert error["code"] in V1_CODES
    assert error["message"]
    for field in error["details"].get("fields", ()):
        assert field.keys() == {"field", "message"}
