from __future__ import annotations

from typing import Any

import pytest

from fhir_server.validation import Options, Validator

Json = dict[str, Any]
BASE = "http://a.b/fhir"


def found(validator: Validator, resource: Json, **options: bool) -> list[tuple[str, str | None]]:
    issues = validator.validate(resource, options=Options(**options))
    return [(issue.code, issue.expression) for issue in issues]


def entry(type_name: str, id_: str, **content: Any) -> Json:
    resource = {"resourceType": type_name, "id": id_, **content}
    return {"fullUrl": f"{BASE}/{type_name}/{id_}", "resource": resource}


def patient(id_: str, **content: Any) -> Json:
    return entry("Patient", id_, active=True, **content)


def bundle(*entries: Json, **content: Any) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": list(entries), **content}


def test_relations_of_links_are_unique(validator: Validator) -> None:
    links = [{"relation": name, "url": "http://a.b"} for name in ("self", "next", "self")]
    assert found(validator, bundle(link=links, type="searchset")) == [
        ("structure", "Bundle.entry"),
        ("invalid", "Bundle.link[2]"),
    ]


@pytest.mark.parametrize(
    ("url", "good"),
    [
        (f"{BASE}/Patient/1", True),
        ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", True),
        ("http://elsewhere/not-restful", True),
        ("Patient/1", False),
        (f"{BASE}/Patient/2", False),
        (f"{BASE}/Group/1", False),
    ],
)
def test_full_url_agrees_with_the_resource(validator: Validator, url: str, *, good: bool) -> None:
    place = [] if good else [("invalid", "Bundle.entry[0].fullUrl")]
    assert found(validator, bundle(patient("1") | {"fullUrl": url})) == place


def test_references_inside_must_be_found_if_asked(validator: Validator) -> None:
    linked = {"link": [{"other": {"reference": "Patient/2"}, "type": "seealso"}]}
    alone = bundle(patient("1", **linked))
    assert found(validator, alone) == []
    missing = [("structure", "Bundle.entry[0].resource.link[0].other")]
    assert found(validator, alone, references_exist=True) == missing
    both = bundle(patient("1", **linked), patient("2"))
    assert found(validator, both, references_exist=True) == []


def composition(*references: str, subject: str = "Patient/1") -> Json:
    listed = [{"reference": reference} for reference in references]
    content: Json = {
        "status": "final", "type": {"text": "x"}, "date": "2024", "title": "x",
        "author": [{"display": "x"}], "subject": {"reference": subject},
    }  # fmt: skip
    if listed:
        content["section"] = [{"section": [{"entry": listed}]}]
    return entry("Composition", "c", **content)


def document(*entries: Json) -> Json:
    identifier = {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:x"}
    stamp = "2024-01-01T00:00:00Z"
    return bundle(*entries, type="document", identifier=identifier, timestamp=stamp)


SECTION = "Bundle.entry[0].resource.section[0].section[0].entry[0]"


@pytest.mark.parametrize(
    ("made", "place"),
    [
        (composition(), None),
        (composition("Patient/1"), None),
        (composition(f"{BASE}/Patient/1"), None),
        (composition("Patient/1/_history/7"), None),
        (composition("#c"), SECTION),
        (composition("Patient/2"), SECTION),
        (composition("Patient/1/_history/8"), SECTION),
        (composition("http://elsewhere/fhir/Patient/1"), SECTION),
        (composition(subject="Patient/2"), "Bundle.entry[0].resource.subject"),
    ],
)
def test_document_has_what_its_composition_lists(
    validator: Validator, made: Json, place: str | None
) -> None:
    held = patient("1", meta={"versionId": "7"})
    assert [where for _, where in found(validator, document(made, held))] == (
        [place] if place else []
    )


def test_document_that_lists_what_it_has_twice(validator: Validator) -> None:
    twice = [patient("1", meta={"versionId": v}) for v in "12"]
    ambiguous = document(composition("Patient/1", subject="Patient/1/_history/1"), *twice)
    assert found(validator, ambiguous) == [("invalid", SECTION)]


NARRATIVE_LINK = "http://hl7.org/fhir/StructureDefinition/narrativeLink"


@pytest.mark.parametrize(
    ("fragment", "codes"), [("a", []), ("b", ["invalid"]), ("c", ["not-found"])]
)
def test_narrative_link_names_one_element(
    validator: Validator, fragment: str, codes: list[str]
) -> None:
    spans = "".join(f'<p id="{name}">x</p>' for name in "abb")
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{spans}</div>'
    told = patient("1", text={"status": "generated", "div": div})
    link = {"url": NARRATIVE_LINK, "valueUrl": f"{BASE}/Patient/1#{fragment}"}
    found_codes = [
        code for code, _ in found(validator, bundle(told, patient("2", extension=[link])))
    ]
    assert found_codes == codes


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("Practitioner?identifier=urn:x|1", True),
        ("Practitioner?identifier=1&active=true", True),
        ("Practitioner?identifier=1&?==", False),
        ("Practitioner?", False),
    ],
)
def test_conditional_reference(validator: Validator, text: str, *, good: bool) -> None:
    task = {"resourceType": "Task", "status": "draft", "intent": "order"}
    issues = found(validator, task | {"owner": {"reference": text}})
    assert issues == ([] if good else [("invalid", "Task.owner")])


def test_hash_of_an_attachment(validator: Validator) -> None:
    photo = {"contentType": "text/plain", "data": "aGVsbG8=", "size": 5}
    good = photo | {"hash": "qvTGHdzF6KLavt4PO0gs2a6pQ00="}
    assert found(validator, {"resourceType": "Patient", "photo": [good]}) == []
    bad = photo | {"hash": "LEZwlbCg5nvlH2vQD4DLIRiEbdw="}
    issues = found(validator, {"resourceType": "Patient", "photo": [bad]})
    assert issues == [("structure", "Patient.photo[0]")]
