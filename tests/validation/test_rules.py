from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.path import PathError
from fhir_server.fhir.path import compile as compile_path
from fhir_server.validation import Validator, rules

DATES = ["2024-01-01", "2024-01-02", "2023-12-31T10:00:00Z", "2024-01-01T00:00:00+02:00"]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "start": st.sampled_from(DATES),
    "end": st.sampled_from(DATES),
    "low": st.builds(lambda n: {"value": n}, st.integers(-3, 3)),
    "high": st.builds(lambda n: {"value": n}, st.integers(-3, 3)),
    "fullUrl": st.sampled_from(["http://a.b/Patient/1", "http://a.b/Patient/1/_history/2"]),
}
NODES = st.fixed_dictionaries({}, optional=VALUES)


@pytest.mark.parametrize("expression", rules.NATIVE)
@given(node=NODES)
def test_native_rule_says_what_its_expression_says_if_that_says_anything(
    expression: str, node: dict[str, Any]
) -> None:
    try:
        found = compile_path(expression).values(node)
    except PathError:
        return
    if found in ([True], [False]):
        assert rules.NATIVE[expression](node) == found[0]


def invariants(validator: Validator, resource: dict[str, Any]) -> list[tuple[str, str | None]]:
    """(key, place) of each invariant that failed."""
    found = (i for i in validator.validate(resource) if i.code == "invariant")
    return [(i.diagnostics.split(":")[1].strip(), i.expression) for i in found]


BROKEN: list[tuple[str, str, dict[str, Any]]] = [
    ("app-3", "Appointment", {
        "resourceType": "Appointment", "status": "booked",
        "participant": [{"status": "accepted", "actor": {"display": "x"}}],
    }),
    ("app-1", "Appointment.participant[0]", {
        "resourceType": "Appointment", "status": "proposed",
        "participant": [{"status": "accepted"}],
    }),
    ("att-1", "Communication.payload[0].content.ofType(Attachment)", {
        "resourceType": "Communication", "status": "completed",
        "payload": [{"contentAttachment": {"data": "aGVsbG8="}}],
    }),
    ("bdl-1", "Bundle", {"resourceType": "Bundle", "type": "collection", "total": 1}),
    ("bdl-8", "Bundle.entry[0]", {
        "resourceType": "Bundle", "type": "collection",
        "entry": [{"fullUrl": "http://a.b/Patient/1/_history/2",
                   "resource": {"resourceType": "Patient", "active": True}}],
    }),
    ("cpt-2", "Patient.telecom[0]", {"resourceType": "Patient", "telecom": [{"value": "1"}]}),
    ("grp-1", "Group", {
        "resourceType": "Group", "type": "person", "actual": False,
        "member": [{"entity": {"reference": "Patient/1"}}],
    }),
    ("inv-1", "Task", {
        "resourceType": "Task", "status": "draft", "intent": "order",
        "authoredOn": "2024-02-02", "lastModified": "2024-01-01",
    }),
    ("inv-1", "Parameters.parameter[0]", {
        "resourceType": "Parameters", "parameter": [{"name": "x"}],
    }),
    ("org-1", "Organization", {"resourceType": "Organization", "active": True}),
    ("org-2", "Organization.address[0]", {
        "resourceType": "Organization", "name": "x", "address": [{"use": "home"}],
    }),
    ("pat-1", "Patient.contact[0]", {
        "resourceType": "Patient", "contact": [{"gender": "male"}],
    }),
    ("per-1", "Encounter.period", {
        "resourceType": "Encounter", "status": "planned", "class": {"code": "VR"},
        "period": {"start": "2024-02-02", "end": "2024-01-01"},
    }),
    ("sev-1", "AuditEvent.entity[0]", {
        "resourceType": "AuditEvent", "type": {"code": "rest"},
        "recorded": "2024-01-01T00:00:00Z", "agent": [{"requestor": True}],
        "source": {"observer": {"display": "x"}}, "entity": [{"name": "x", "query": "eA=="}],
    }),
    ("cpb-1", "CapabilityStatement", {
        "resourceType": "CapabilityStatement", "status": "active", "date": "2024",
        "kind": "instance", "fhirVersion": "4.0.1", "format": ["json"], "description": "x",
        "implementation": {"description": "x"},
    }),
]  # fmt: skip


@pytest.mark.parametrize(("key", "place", "resource"), BROKEN)
def test_broken_invariant_is_named_with_its_place(
    validator: Validator, key: str, place: str, resource: dict[str, Any]
) -> None:
    assert invariants(validator, resource) == [(key, place)]


def test_period_whose_ends_differ_in_precision_is_good(validator: Validator) -> None:
    period = {"start": "2024", "end": "2024-05-01"}
    patient = {"resourceType": "Patient", "name": [{"text": "x", "period": period}]}
    assert validator.validate(patient) == []
