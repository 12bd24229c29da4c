"""The FHIR half of the OpenAPI document, asked for all it allows and more (schemathesis): never a
5xx, nothing undescribed, always in shape. The v1 half is in tests/v1."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from tests.bad_input.faces import well_shaped
from tests.bad_input.world import FHIR, World
from tests.support.effort import FACTOR, effort
from tests.support.openapi import CHECKS, document

# Every type in the long run; in the short one those that differ in what they offer.
SHORT = "metadata|(Communication|Encounter|Patient|AuditEvent|ValueSet|CodeSystem|ConceptMap)(/|$)"
ASKED = f"^{FHIR}/({SHORT})" if FACTOR == 1 else f"^{FHIR}"
schema = schemathesis.openapi.from_dict(document()).include(path_regex=ASKED)


@pytest.mark.hypothesis
@schema.parametrize()
@settings(max_examples=effort(3), deadline=None, suppress_health_check=list(HealthCheck))
def test_fhir(case: schemathesis.Case[Any], world: World) -> None:
    response = case.call(
        base_url=world.address, headers={"Authorization": f"Bearer {world.tokens['system']}"}
    )
    case.validate_response(response, checks=CHECKS)


def test_the_document_is_public_and_whole(world: World) -> None:
    assert world.client.get("/openapi.json").json() == document()


def test_no_operation_is_open_without_a_token(world: World) -> None:
    for path, methods in document()["paths"].items():
        url = path.replace("{id}", "x").replace("{version}", "1").replace("{threadId}", "thr_x")
        for method, operation in methods.items():
            response = world.client.request(method, url)
            if operation.get("security") == []:
                assert response.status_code == 200
            else:
                assert response.status_code == 401, f"{method} {url}"
                well_shaped(response)
