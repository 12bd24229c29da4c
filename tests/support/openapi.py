"""The OpenAPI document, and what schemathesis holds every answer to."""

from __future__ import annotations

from typing import Any

from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fhir_server import __version__
from fhir_server.declarations import read_declarations
from fhir_server.http.openapi import openapi

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def document() -> dict[str, Any]:
    """As the server makes it."""
    declared = read_declarations()
    return openapi(declared.definitions, declared.mappings, __version__)
