"""A query is kept without the words that were searched for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions.model import Definitions
from fhir_server.interactions.audit.query import Queries
from fhir_server.interactions.audit.record import named, patients
from fhir_server.store.stored import Stored

SECRET = "zqxjk"


@pytest.fixture(scope="module")
def queries(definitions: Definitions) -> Queries:
    return Queries(definitions.types)


KEPT = {
    "patient": "Patient/zahra",
    "subject:Patient": "zahra",
    "status": "completed,entered-in-error",
    "sent": "ge2026-01-01",
    "_has:Communication:part-of:unread-by": "Practitioner/amina",
    "patient:Patient._security:not": "R,V",
    "_sort": "-sent",
    "part-of:missing": "true",
}
LEFT_OUT = (
    *("name", "family:exact", "address-city", "_text", "_content", "_filter", "identifier"),
    *("phone", "email", "telecom", "category:text", "subject:Patient.name", "subject:identifier"),
    *("_has:Patient:link:name", "_cursor", "_query", "name:contains"),
)


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept(queries: Queries, name: str) -> None:
    assert queries.of("Communication", [(name, KEPT[name])]) == f"Communication?{name}={KEPT[name]}"


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out(queries: Queries, name: str) -> None:
    assert queries.of("Patient", [(name, SECRET)]) == f"Patient?{name}="


@pytest.mark.parametrize("name", [SECRET, f"subject:{SECRET}.name", f"{SECRET}.name", "a b"])
def test_a_name_that_nobody_declared_is_left_out(queries: Queries, name: str) -> None:
    assert queries.of("Patient", [(name, SECRET), ("active", "true")]) == "Patient?active=true"


@given(name=st.text(max_size=200), value=st.text(max_size=50))
def test_any_query_can_be_written(queries: Queries, name: str, value: str) -> None:
    told = queries.of("Patient", [(name, value)])
    assert told.isascii()
    assert len(told) <= 2_000


def test_whom_a_search_is_about() -> None:
    asked = [("patient", "zahra,Patient/omid"), ("subject", "Patient/sealed"), ("name", "Patient/")]
    assert list(named(asked, "Patient/x")) == [
        *("Patient/zahra", "Patient/omid", "Patient/sealed", "Patient/x"),
    ]


def test_a_text_names_nobody() -> None:
    body = b'{"subject":{"reference":"Patient/a"},"text":"\\"reference\\":\\"Patient/b\\""}'
    assert patients([Stored("Communication", "c", 1, None, body)]) == ("Patient/a",)  # type: ignore[arg-type]
