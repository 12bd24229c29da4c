"""A v1 POST and the equivalent FHIR POST store the same resource and tell the same events."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.model import Definitions
from fhir_server.mapping.loader import Mappings, load_mappings
from tests.v1.conftest import Caller, Ward

PEOPLE = {
    "usr_farid": "Practitioner/farid",
    "usr_sami": "Practitioner/sami",
    "pat_zahra": "Patient/zahra",
}
PRIORITIES = {"routine": "routine", "urgent": "urgent", "emergent": "stat"}
# What a FHIR string may hold: https://hl7.org/fhir/R4/datatypes.html#string
TEXT = st.text(
    st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=40
)
people = st.lists(st.sampled_from(sorted(PEOPLE)), min_size=1, unique=True)
over_http = settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def mappings(definitions: Definitions) -> Mappings:
    folder = declared_root() / "mappings"
    return load_mappings(folder, definitions, load_facts().structures)


def same(ward: Ward, by_v1: dict[str, Any], by_fhir: dict[str, Any]) -> None:
    """Equal but for what names or dates one of them; and told the same way."""
    for resource in (by_v1, by_fhir):
        del resource["id"], resource["sent"], resource["meta"]["lastUpdated"]
    assert by_v1 == by_fhir
    (first, _, told), (second, _, again) = ward.events()[-2:]
    assert first == second
    varying = {"threadId", "messageId", "createdAt", "sentAt"}
    assert {k: v for k, v in told.items() if k not in varying} == {
        k: v for k, v in again.items() if k not in varying
    }


def create(caller: Caller, resource: dict[str, Any]) -> dict[str, Any]:
    answer = caller.client.post("/fhir/R4/Communication", json=resource)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


@over_http
@given(subject=TEXT, members=people, about=st.booleans())
def test_a_thread(ward: Ward, subject: str, members: list[str], *, about: bool) -> None:
    amina = ward.doctor("amina")
    body = {"participantIds": members, "subject": subject}
    resource = {
        "resourceType": "Communication",
        "status": "in-progress",
        "topic": {"text": subject},
        "recipient": [{"reference": PEOPLE[name]} for name in members],
    }
    if about:
        body["patientId"] = "pat_zahra"
        resource["subject"] = {"reference": "Patient/zahra"}
    answer = amina.post("/threads", body)
    assert answer.status_code == 201, answer.text
    thread = answer.json()["threadId"].replace("thr_", "/Communication/")
    same(ward, amina.fhir(thread), create(amina, resource))


@over_http
@given(text=TEXT, urgency=st.sampled_from(sorted(PRIORITIES)))
def test_a_message(ward: Ward, text: str, urgency: str) -> None:
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    message = amina.send(thread, text, urgency).replace("msg_", "/Communication/")
    resource = {
        "resourceType": "Communication",
        "status": "in-progress",
        "partOf": [{"reference": thread.replace("thr_", "Communication/")}],
        "priority": PRIORITIES[urgency],
        "payload": [{"contentString": text}],
    }
    same(ward, amina.fhir(message), create(amina, resource))


def test_events_tell_what_their_schema_says_and_no_words(ward: Ward, mappings: Mappings) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra", subject="Secret topic")
    farid.read(thread, amina.send(thread, "Secret words"))
    amina.patch(f"/threads/{thread}/archive")
    told = ward.events()
    assert [kind for kind, _, _ in told] == [
        "communication.thread.created",
        "communication.message.sent",
        "communication.message.read",
        "communication.thread.archived",
    ]
    for kind, _, data in told:
        jsonschema.Draft202012Validator(dict(mappings.events[kind].schema)).validate(data)
        assert "Secret" not in str(data)
