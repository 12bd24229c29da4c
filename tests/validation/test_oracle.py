"""An independent opinion: what the typed models of fhir.resources refuse, we refuse too.

They know R4B, whose types used here have the structure that they have in R4.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fhir_server.definitions.facts import load_facts
from fhir_server.validation import Validator
from tests.support.official import examples, needs_shared

ALIKE = {
    *("Appointment", "AuditEvent", "CareTeam", "Communication", "Encounter", "Group", "Patient"),
    *("Organization", "Practitioner", "PractitionerRole", "RelatedPerson"),
}
CHANGES: list[object] = ["drop", "rename", 17, "", " ", {}, [], True, None]
VALIDATOR = Validator(load_facts())


def oracle_refuses(resource: dict[str, Any]) -> bool:
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(copy.deepcopy(resource))
    except (ValidationError, AttributeError, TypeError):  # it trips over some wrong types
        return True
    return False


def we_refuse(resource: dict[str, Any]) -> bool:
    return any(issue.severity == "error" for issue in VALIDATOR.validate(resource))


def _resources() -> list[dict[str, Any]]:
    found = [json.loads(path.read_text("utf-8")) for path in examples()]
    alike = [r for r in found if r["resourceType"] in ALIKE and len(json.dumps(r)) < 10_000]
    # The oracle has its own mind about some good examples; those teach nothing.
    return [r for r in alike if not oracle_refuses(r)] or [{"resourceType": "Patient"}]


RESOURCES = _resources()


def objects(value: object) -> list[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in objects(item))]
    return [o for item in value for o in objects(item)] if isinstance(value, list) else []


@needs_shared
@given(st.data())
def test_what_the_oracle_refuses_is_refused(data: st.DataObject) -> None:
    resource = copy.deepcopy(data.draw(st.sampled_from(RESOURCES)))
    broken = data.draw(st.sampled_from([o for o in objects(resource) if o]))
    key = data.draw(st.sampled_from([k for k in broken if k != "resourceType"] or ["x"]))
    change = data.draw(st.sampled_from(CHANGES))
    value = broken.pop(key, None)
    if change == "rename":
        broken[key + "x"] = value
    elif change != "drop":
        broken[key] = change
    if oracle_refuses(resource):
        assert we_refuse(resource)
