"""Answers of the FHIR face: a resource with its version headers, or an OperationOutcome."""

from __future__ import annotations

from typing import Any

from fhir_server.fhir.json import dumps
from fhir_server.fhir.outcome import of_problem
from fhir_server.http.fhir.representation.formats import FHIR_JSON
from fhir_server.http.wire import Reply, http_date
from fhir_server.interactions import Stored
from fhir_server.problems import Problem

CONTENT = {"content-type": FHIR_JSON, "vary": "accept"}


def resource_reply(stored: Stored, status: int = 200, *, body: bool = True) -> Reply:
    """The resource with ETag and Last-Modified."""
    headers = {
        **CONTENT,
        "etag": f'W/"{stored.version}"',
        "last-modified": http_date(stored.updated),
    }
    return Reply(status, stored.body if body else b"", headers, stored.updated)


def json_reply(resource: dict[str, Any], status: int = 200) -> Reply:
    """A resource that is not stored: a Bundle, Parameters or OperationOutcome."""
    return Reply(status, dumps(resource), CONTENT)


def refused(problem: Problem) -> Reply:
    """https://hl7.org/fhir/R4/operationoutcome.html"""
    headers = {name.lower(): value for name, value in problem.headers.items()}
    return Reply(problem.status, dumps(of_problem(problem)), {**CONTENT, **headers})
