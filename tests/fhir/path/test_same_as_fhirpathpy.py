"""Native closures say what fhirpathpy says, where both know the expression.

Left out is what the two see differently on purpose: fhirpathpy answers false, not empty, when it
compares with nothing, and returns one extension where a url has several.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir import path
from fhir_server.fhir.path import fallback

WORD = st.sampled_from(["a", "b", "c"])
REFERENCE = st.fixed_dictionaries(
    {},
    optional={
        "reference": st.sampled_from(["Patient/a", "Group/b", "Patient/a/_history/1", "urn:x"]),
        "display": WORD,
    },
)
CODING = st.fixed_dictionaries({}, optional={"system": WORD, "code": WORD, "display": WORD})
CONCEPT = st.fixed_dictionaries(
    {}, optional={"coding": st.lists(CODING, min_size=1, max_size=3), "text": WORD}
)
PAYLOAD = st.one_of(
    st.fixed_dictionaries({"contentString": WORD}),
    st.fixed_dictionaries({"contentReference": REFERENCE}),
    st.fixed_dictionaries({"contentAttachment": st.fixed_dictionaries({"url": WORD})}),
)
EXTENSIONS = st.lists(
    st.fixed_dictionaries({"url": WORD, "valueString": WORD}),
    min_size=1,
    unique_by=lambda extension: extension["url"],
)
COMMUNICATION = st.fixed_dictionaries(
    {"resourceType": st.just("Communication"), "id": WORD},
    optional={
        "status": WORD,
        "sent": st.sampled_from(["2024-01-01", "2024-01-01T10:00:00Z"]),
        "subject": REFERENCE,
        "category": st.lists(CONCEPT, min_size=1, max_size=2),
        "recipient": st.lists(REFERENCE, min_size=1, max_size=3),
        "payload": st.lists(PAYLOAD, min_size=1, max_size=3),
        "extension": EXTENSIONS,
        "note": st.lists(
            st.fixed_dictionaries({"text": WORD}, optional={"authorString": WORD}), min_size=1
        ),
    },
)

ITEMS = st.sampled_from(
    [
        "status",
        "id",
        "sent",
        "subject",
        "subject.reference",
        "category",
        "category.coding",
        "category.coding.code",
        "category.text",
        "recipient",
        "recipient.display",
        "payload.content",
        "payload.content.ofType(string)",
        "(payload.first().content as Reference).display",
        "payload.content.ofType(Attachment).url",
        "note.author",
        "extension('a')",
        "extension('b').value",
        "Communication.status",
        "Communication.category.coding",
        "Patient.id",
        "%resource.status",
        "recipient.where(resolve() is Patient)",
        "category.coding.where(system = 'a')",
        "category.coding.where(system = 'a' and code = 'b').code",
        "category.where(coding.exists() or text = 'a').text",
        "category.select(text)",
        "('a' | 'b')",
    ]
)
NARROWED = st.builds(
    "{}{}".format, ITEMS, st.sampled_from(["", ".first()", ".last()", ".tail()", ".skip(1)"])
)
YES_OR_NO = st.builds(
    "{}{}".format,
    NARROWED,
    st.sampled_from([".exists()", ".empty()", ".exists().not()", ".count() > 1", ".count() = 1"]),
)
QUESTION = st.recursive(
    YES_OR_NO,
    lambda inner: st.builds(
        "({} {} {})".format, inner, st.sampled_from(["and", "or", "xor", "implies"]), inner
    ),
    max_leaves=3,
)


def in_any_order(items: list[Any]) -> list[str]:
    return sorted(json.dumps(item, sort_keys=True, default=str) for item in items)


def same(expression: str, resource: dict[str, Any]) -> None:
    native = path.compile(expression)
    assert native.native
    expected = fallback.compile(expression)(resource, resource, resource)
    assert in_any_order(native.values(resource)) == in_any_order(expected)


@given(NARROWED, COMMUNICATION)
def test_the_same_items(expression: str, resource: dict[str, Any]) -> None:
    same(expression, resource)


@given(QUESTION, COMMUNICATION)
def test_the_same_answers(expression: str, resource: dict[str, Any]) -> None:
    same(expression, resource)


@given(st.sampled_from(["status", "sent", "category.text", "note.text"]), COMMUNICATION)
def test_the_same_unions(item: str, resource: dict[str, Any]) -> None:
    expression = f"{item} | status"
    found = path.compile(expression).values(resource)
    expected = fallback.compile(expression)(resource, resource, resource)
    assert set(found) == set(expected)
    assert len(found) == len(set(found))


EXAMPLES = Path(__file__).parents[4] / "shared" / "r4-examples"
SEARCH = [
    "Appointment.participant.actor.where(resolve() is Practitioner)",
    "AuditEvent.agent.who.where(resolve() is Patient)",
    "CareTeam.participant.member",
    "Communication.partOf",
    "Communication.subject.where(resolve() is Patient)",
    "CommunicationRequest.occurrence as dateTime",
    "(CommunicationRequest.occurrence as dateTime)",
    "Device.patient",
    "DocumentReference.content.attachment.contentType",
    "Encounter.participant.individual.where(resolve() is Practitioner)",
    "Encounter.location.period",
    "Group.characteristic.value.ofType(CodeableConcept)",
    "Patient.address.city",
    "Patient.deceased.exists() and Patient.deceased != false",
    "Patient.link.other",
    "Patient.name.given",
    "Patient.telecom.where(system='phone')",
    "Practitioner.qualification.issuer",
    "PractitionerRole.telecom.where(system='email')",
]


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs ../shared/r4-examples")
@pytest.mark.parametrize("expression", SEARCH)
def test_the_same_on_the_official_examples(expression: str) -> None:
    type_ = expression.lstrip("(").partition(".")[0]
    examples = sorted(EXAMPLES.glob(f"{type_}-*.json"))
    assert examples
    for example in examples:
        same(expression, json.loads(example.read_bytes()))
