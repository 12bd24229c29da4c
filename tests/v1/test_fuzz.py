"""Whatever the OpenAPI document allows, and what it does not: never a 5xx, and always in shape."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fhir_server import __version__
from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.loader import load_definitions
from fhir_server.http.openapi import openapi
from fhir_server.mapping.loader import load_mappings
from tests.support.effort import effort
from tests.v1.conftest import BASE, Ward

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def _document() -> dict[str, Any]:
    facts = load_facts()
    definitions = load_definitions(declared_root(), facts)
    mappings = load_mappings(declared_root() / "mappings", definitions, facts.structures)
    return openapi(definitions, mappings, __version__)


schema = schemathesis.openapi.from_dict(_document()).include(path_regex=f"^{BASE}")


@pytest.fixture
def amina(ward: Ward) -> httpx.Client:
    caller = ward.doctor("amina")
    caller.send(caller.open_thread("usr_farid", patientId="pat_zahra"))
    return caller.client


@pytest.mark.hypothesis
@schema.parametrize()
@settings(
    max_examples=effort(20),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_v1(case: schemathesis.Case[Any], amina: httpx.Client) -> None:
    case.call_and_validate(
        base_url=str(amina.base_url),
        headers={"Authorization": amina.headers["Authorization"]},
        checks=CHECKS,
    )
