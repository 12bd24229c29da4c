"""Whatever the OpenAPI document allows, and what it does not: never a 5xx, and always in shape."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from tests.support.effort import effort
from tests.support.openapi import CHECKS, document
from tests.v1.conftest import Ward
from tests.v1.routes import SCOPES

schema = schemathesis.openapi.from_dict(document()).include(path_regex="^/v1/")


@pytest.fixture
def amina(ward: Ward) -> httpx.Client:
    """Who may use every route: one person may have two roles."""
    caller = ward.sign_in(ward.tenant, "usr_amina", ["DOCTOR", "ADMIN"], SCOPES)
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
