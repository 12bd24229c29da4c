"""What is wrong is named, in the words of FHIR, by the place where it is."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.validation import Options, Validator

MESSAGE: dict[str, Any] = {
    "resourceType": "Communication",
    "status": "in-progress",
    "sent": "2026-01-31T09:05:07.120Z",
    "sender": {"reference": "Practitioner/amina"},
    "payload": [{"contentString": "Hello"}],
}
HELD = {"resourceType": "Patient", "id": "p", "name": [{"text": "x"}]}
EXTENSION = {"url": "http://a.b/c", "valueString": "x"}


def message(**content: Any) -> dict[str, Any]:
    return MESSAGE | content


def found(validator: Validator, resource: Any, **options: bool) -> list[tuple[str, str | None]]:
    issues = validator.validate(resource, options=Options(**options))
    return [(issue.code, issue.expression) for issue in issues]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"_sent": {"id": "a"}},
        {"_sent": {"extension": [EXTENSION]}},
        {"instantiatesUri": ["a", None], "_instantiatesUri": [None, {"extension": [EXTENSION]}]},
        {"contained": [HELD], "subject": {"reference": "#p"}},
        {"contained": [HELD | {"link": [{"other": {"reference": "#"}, "type": "seealso"}]}]},
        {"about": [{"reference": "https://elsewhere.org/anything"}, {"display": "x"}]},
        {"payload": [{"contentAttachment": {"contentType": "text/plain", "data": "aGVsbG8="}}]},
        {"sender": {"reference": "Patient/1", "type": "Patient"}},
        {"language": "ps-AF", "implicitRules": "http://a.b"},
        {"extension": [{"url": "http://a.b", "extension": [{"url": "c", "valueCode": "d"}]}]},
        {"text": {"status": "empty", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}},
    ],
)
def test_good(validator: Validator, content: dict[str, Any]) -> None:
    assert found(validator, message(**content)) == []


C = "Communication"
BAD: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"status": "zzz"}, [("code-invalid", f"{C}.status")]),
    ({"status": None}, [("value", f"{C}.status")]),
    ({"status": ["completed"]}, [("value", f"{C}.status")]),
    ({"sent": "2024-02-30"}, [("value", f"{C}.sent")]),
    ({"sent": "2024-02-28T10:00:00"}, [("value", f"{C}.sent")]),
    ({"color": "red"}, [("structure", f"{C}.color")]),
    ({"sender": "Practitioner/1"}, [("structure", f"{C}.sender")]),
    ({"sender": {}}, [("structure", f"{C}.sender")]),
    ({"sender": {"id": "x"}}, [("invariant", f"{C}.sender")]),
    ({"sender": {"reference": "Encounter/1"}}, [("structure", f"{C}.sender")]),
    ({"sender": {"reference": "Patient/1", "type": "Practitioner"}},
     [("structure", f"{C}.sender.type")]),
    ({"instantiatesUri": ["oid:1.2.3"]}, [("value", f"{C}.instantiatesUri[0]")]),
    ({"sender": {"reference": "#p"}}, [("invariant", f"{C}.sender")]),
    ({"recipient": []}, [("structure", f"{C}.recipient")]),
    ({"recipient": {"reference": "Patient/1"}}, [("structure", f"{C}.recipient")]),
    ({"recipient": [None]}, [("structure", f"{C}.recipient[0]")]),
    ({"payload": [{}]},
     [("required", f"{C}.payload[0].content"), ("structure", f"{C}.payload[0]")]),
    ({"payload": [{"contentInteger": 1}]},
     [("structure", f"{C}.payload[0].contentInteger"), ("required", f"{C}.payload[0].content")]),
    ({"payload": [{"contentString": ""}]}, [("value", f"{C}.payload[0].content.ofType(string)")]),
    ({"payload": [{"contentString": "a", "contentReference": {"display": "b"}}]},
     [("structure", f"{C}.payload[0].content")]),
    ({"_sent": {}}, [("structure", f"{C}.sent")]),
    ({"_sent": "x"}, [("structure", f"{C}.sent")]),
    ({"_received": {"id": "x"}}, [("invariant", f"{C}.received")]),
    ({"_sender": {"id": "x"}}, [("structure", f"{C}._sender")]),
    ({"instantiatesUri": [None]}, [("value", f"{C}.instantiatesUri[0]")]),
    ({"language": "not a language"}, [("code-invalid", f"{C}.language")]),
    ({"identifier": [{"system": "mrn", "value": "1"}]},
     [("value", f"{C}.identifier[0].system")]),
    ({"category": [{"coding": [{"system": "x", "code": "y"}]}]},
     [("value", f"{C}.category[0].coding[0].system")]),
    ({"id": "a_b"}, [("invalid", f"{C}.id")]),
    ({"contained": [HELD]}, [("invariant", f"{C}.contained[0]")]),
    ({"contained": [{"resourceType": "Zzz", "id": "p"}], "about": [{"reference": "#p"}]},
     [("structure", f"{C}.contained[0]")]),
    ({"contained": [HELD | {"meta": {"versionId": "1"}}], "about": [{"reference": "#p"}]},
     [("invariant", f"{C}.contained[0].meta.versionId")]),
    ({"contained": [HELD | {"contained": [HELD]}], "about": [{"reference": "#p"}]},
     [("invariant", f"{C}.contained[0].contained[0]"),
      ("invariant", f"{C}.contained[0].contained")]),
    ({"contained": [HELD, HELD], "about": [{"reference": "#p"}]},
     [("structure", f"{C}.contained[1].id")]),
    ({"extension": [{"url": "http://a.b"}]}, [("invariant", f"{C}.extension[0]")]),
    ({"extension": [{"valueString": "x"}]}, [("required", f"{C}.extension[0].url")]),
    ({"extension": [{"url": "a", "valueString": "x"}]}, [("structure", f"{C}.extension[0].url")]),
    ({"extension": [EXTENSION | {"extension": [EXTENSION]}]},
     [("invariant", f"{C}.extension[0]")]),
    ({"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                     "valueString": "x"}]},
     [("structure", f"{C}.extension[0].value.ofType(string)"),
      ("structure", f"{C}.extension[0]")]),
    ({"category": [{"coding": [{"code": "a "}]}]},
     [("value", f"{C}.category[0].coding[0].code")]),
    ({"payload": [{"contentAttachment": {"contentType": "a/b", "data": "aGVsbG8=", "size": 9}}]},
     [("structure", f"{C}.payload[0].content.ofType(Attachment)")]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), BAD)
def test_bad(
    validator: Validator, content: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert found(validator, message(**content)) == expected


def test_missing_element_is_named(validator: Validator) -> None:
    missing = [("required", "Communication.status")]
    assert found(validator, {"resourceType": "Communication"}) == missing


@pytest.mark.parametrize(
    "resource", [{}, {"resourceType": "Zzz"}, {"resourceType": 1}, [], None, 1]
)
def test_what_is_no_resource_is_refused(validator: Validator, resource: object) -> None:
    assert [code for code, _ in found(validator, resource)] == ["structure"]


def test_required_binding_of_a_concept(validator: Validator) -> None:
    problem: dict[str, Any] = {
        "resourceType": "Condition",
        "subject": {"display": "x"},
        "clinicalStatus": {"coding": [{"system": "urn:x", "code": "active"}]},
    }
    assert found(validator, problem) == [("code-invalid", "Condition.clinicalStatus")]
    problem["clinicalStatus"] = {"text": "active"}
    assert ("code-invalid", "Condition.clinicalStatus") in found(validator, problem)
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    problem["clinicalStatus"] = {"coding": [{"system": system, "code": "active"}]}
    assert found(validator, problem) == []


def test_simple_quantity_has_no_comparator(validator: Validator) -> None:
    encounter = {
        "resourceType": "SupplyDelivery",
        "suppliedItem": {"quantity": {"value": 1, "comparator": "<"}},
    }
    assert found(validator, encounter) == [("invariant", "SupplyDelivery.suppliedItem.quantity")]


def test_issues_end_somewhere(validator: Validator) -> None:
    issues = validator.validate(message(recipient=[{}] * 5000))
    assert len(issues) == 201
    assert issues[-1].severity == "information"


def test_options(validator: Validator) -> None:
    script = message(payload=[{"contentString": "<b>x</b>"}])
    assert found(validator, script) == []
    assert [c for c, _ in found(validator, script, embedded_html=False)] == ["invalid"]
    example = message(instantiatesUri=["https://fhir.example.org/x"])
    assert found(validator, example) == []
    assert [c for c, _ in found(validator, example, example_urls=False)] == ["invalid"]
    assert found(validator, message(contained=[{"x": 1}]), contained=False) == []


def test_text_with_comments(validator: Validator) -> None:
    text = b'{ "resourceType": "Basic", // a "comment"\n "code": {"text": "/* none */ // none"} }'
    assert [issue.code for issue in validator.validate_text(text)] == ["structure"]
    assert validator.validate_text(text, options=Options(comments=True)) == []
