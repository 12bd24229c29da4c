"""The terminology operations over HTTP, answered without a terminology server."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fhir_server.definitions.facts import load_facts
from fhir_server.validation import Validator
from tests.support.clinic import Clinic, Resource, refusal

OURS = "https://fhir.ghasi.af"
PRIORITY = "http://hl7.org/fhir/request-priority"
URGENCY = f"{OURS}/CodeSystem/urgency"
EVENTS = "http://hl7.org/fhir/ValueSet/event-status"


def body(**given: Any) -> Resource:
    """Parameters of `name__Type=value`, or of a resource under its name."""
    listed: list[Resource] = []
    for key, value in given.items():
        name, _, kind = key.partition("__")
        listed.append({"name": name, f"value{kind}" if kind else "resource": value})
    return {"resourceType": "Parameters", "parameter": listed}


def out(answer: httpx.Response) -> dict[str, Any]:
    """The out parameters by name; of those with parts, a list of dicts."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = {}
    for parameter in answer.json()["parameter"]:
        if "part" in parameter:
            parts = {p["name"]: _value(p) for p in parameter["part"]}
            found.setdefault(parameter["name"], []).append(parts)
        else:
            found[parameter["name"]] = _value(parameter)
    return found


def _value(parameter: Resource) -> Any:
    return next(value for key, value in parameter.items() if key.startswith("value"))


def codes(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["code"] for one in answer.json()["expansion"].get("contains", ())]


def test_expand_a_declared_value_set(clinic: Clinic) -> None:
    answer = clinic.amina.get(f"ValueSet/$expand?url={OURS}/ValueSet/urgency")
    expanded = answer.json()
    assert expanded["url"] == f"{OURS}/ValueSet/urgency"
    assert "compose" not in expanded
    assert expanded["expansion"]["total"] == 3
    assert expanded["expansion"]["contains"][2] == {
        "system": URGENCY,
        "code": "emergent",
        "display": "Emergent",
    }


def test_expand_one_of_r4_in_the_order_of_definition(clinic: Clinic) -> None:
    answer = clinic.amina.get(f"ValueSet/$expand?url={EVENTS}|4.0.1")
    assert codes(answer)[:3] == ["preparation", "in-progress", "not-done"]
    assert answer.json()["expansion"]["contains"][1]["display"] == "In Progress"


def test_what_is_answered_is_valid(clinic: Clinic) -> None:
    validator = Validator(load_facts())
    for path in (
        f"ValueSet/$expand?url={EVENTS}&filter=e&count=2",
        f"ValueSet/$expand?url={OURS}/ValueSet/conversation-status",
        f"ValueSet/$expand?url={EVENTS}&count=0",
        f"CodeSystem/$lookup?system={URGENCY}&code=urgent",
        f"CodeSystem/$validate-code?url={URGENCY}&code=zzz",
        "ConceptMap/urgency/$translate?code=urgent",
        "$versions",
        "metadata",
        "metadata?mode=terminology",
    ):
        assert validator.validate(clinic.amina.get(path).json()) == [], path


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("filter=urg", ["urgent"]),
        ("filter=URGENT", ["urgent"]),
        ("filter=ent e", ["urgent", "emergent"]),
        ("filter=zzz", []),
        ("count=1", ["routine"]),
        ("count=1&offset=2", ["emergent"]),
        ("offset=9", []),
        ("count=0", []),
        ("activeOnly=true&excludeNested=true&filter=rou", ["routine"]),
    ],
)
def test_expand_a_part(clinic: Clinic, query: str, found: list[str]) -> None:
    answer = clinic.amina.get(f"ValueSet/urgency/$expand?{query}")
    assert codes(answer) == found
    told = {p["name"] for p in answer.json()["expansion"].get("parameter", ())}
    assert told == {p.partition("=")[0] for p in query.split("&")} & {"filter", "count", "offset"}


def test_pages_of_an_expansion_are_the_whole(clinic: Clinic) -> None:
    whole = codes(clinic.amina.get(f"ValueSet/$expand?url={EVENTS}"))
    pages = [
        codes(clinic.amina.get(f"ValueSet/$expand?url={EVENTS}&count=3&offset={offset}"))
        for offset in range(0, len(whole), 3)
    ]
    assert [code for page in pages for code in page] == whole


def test_expand_one_that_is_sent_along(clinic: Clinic) -> None:
    own = {
        "resourceType": "ValueSet",
        "status": "active",
        "compose": {
            "include": [
                {"system": URGENCY},
                {"system": "http://elsewhere", "concept": [{"code": "x", "display": "An X"}]},
            ],
            "exclude": [{"system": URGENCY, "concept": [{"code": "urgent"}]}],
        },
    }
    answer = clinic.amina.post(body(valueSet=own), "ValueSet/$expand")
    assert codes(answer) == ["routine", "emergent", "x"]
    assert answer.json()["expansion"]["contains"][2]["display"] == "An X"
    broken = {**own, "compose": {"include": "all"}}
    assert refusal(clinic.amina.post(body(valueSet=broken), "ValueSet/$expand"))[0] == 422
    distant = {**own, "compose": {"include": [{"system": "http://snomed.info/sct"}]}}
    assert refusal(clinic.amina.post(body(valueSet=distant), "ValueSet/$expand"))[0] == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("ValueSet/$expand", 400),
        ("ValueSet/$expand?url=http://nowhere", 404),
        (f"ValueSet/$expand?url={EVENTS}|9", 404),
        (f"ValueSet/$expand?url={OURS}/ValueSet/urgency|9", 404),
        (f"ValueSet/urgency/$expand?url={EVENTS}", 400),
        (f"ValueSet/$expand?url={EVENTS}&count=x", 400),
        (f"ValueSet/$expand?url={EVENTS}&count=-1", 400),
        (f"ValueSet/$expand?url={EVENTS}&url={EVENTS}", 400),
        (f"ValueSet/$expand?url={EVENTS}&system-version=x", 400),
        (f"ValueSet/$expand?url={EVENTS}&nonsense=x", 400),
        (f"ValueSet/$validate-code?url={EVENTS}", 400),
        (f"ValueSet/$validate-code?url={EVENTS}&coding=x", 400),
        (f"CodeSystem/$lookup?system={PRIORITY}&code=zzz", 404),
        ("CodeSystem/$lookup?system=http://snomed.info/sct&code=1", 404),
        ("CodeSystem/$lookup?code=stat", 400),
        ("CodeSystem/$lookup", 400),
        ("CodeSystem/$validate-code?code=stat", 400),
        ("CodeSystem/$validate-code?url=http://snomed.info/sct&code=1", 404),
        ("ConceptMap/$translate?code=urgent", 400),
        ("ConceptMap/$translate?code=1&system=http://snomed.info/sct", 404),
        ("ConceptMap/$translate?url=http://nowhere&code=1", 404),
        ("ConceptMap/urgency/$translate?code=urgent&reverse=maybe", 400),
    ],
)
def test_what_cannot_be_answered(clinic: Clinic, path: str, status: int) -> None:
    assert refusal(clinic.amina.get(path))[0] == status


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("code=stat", True),
        (f"code=stat&system={PRIORITY}", True),
        ("code=stat&system=http://elsewhere", False),
        ("code=emergent", False),
        ("code=stat&display=stat", True),
        ("code=stat&display=Slow", False),
    ],
)
def test_validate_a_code_in_a_value_set(clinic: Clinic, query: str, result: bool) -> None:  # noqa: FBT001
    url = "http://hl7.org/fhir/ValueSet/request-priority"
    told = out(clinic.amina.get(f"ValueSet/$validate-code?url={url}&{query}"))
    assert told["result"] is result
    assert ("message" in told) is not result


@pytest.mark.parametrize(
    ("query", "result"),
    [
        (f"url={PRIORITY}&code=stat", True),
        (f"system={PRIORITY}&code=stat", True),
        (f"url={PRIORITY}&code=emergent", False),
        (f"url={URGENCY}&code=emergent&display=emergent", True),
        (f"url={URGENCY}&code=emergent&display=Soon", False),
        (f"url={URGENCY}&version=1.0.0&code=emergent", True),
    ],
)
def test_validate_a_code_in_a_code_system(clinic: Clinic, query: str, result: bool) -> None:  # noqa: FBT001
    told = out(clinic.amina.get(f"CodeSystem/$validate-code?{query}"))
    assert told["result"] is result


def test_codings_and_concepts_are_sent_as_parameters(clinic: Clinic) -> None:
    good, bad = ({"system": URGENCY, "code": code} for code in ("urgent", "zzz"))
    concept = {"coding": [bad, good], "text": "soon"}
    for path in ("ValueSet/urgency/$validate-code", "CodeSystem/urgency/$validate-code"):
        for given, result in (
            (body(coding__Coding=good), True),
            (body(coding__Coding=bad), False),
            (body(codeableConcept__CodeableConcept=concept), True),
            (body(code__Code="urgent"), True),
        ):
            assert out(clinic.amina.post(given, path))["result"] is result
    both = body(coding__Coding=good, code__Code="urgent")
    assert refusal(clinic.amina.post(both, "ValueSet/urgency/$validate-code"))[0] == 400
    wrong = body(code__Integer=1)
    assert refusal(clinic.amina.post(wrong, "ValueSet/urgency/$validate-code"))[0] == 400
    assert refusal(clinic.amina.post(good, "ValueSet/urgency/$validate-code"))[0] in (400, 422)


def test_look_up_a_declared_code(clinic: Clinic) -> None:
    told = out(clinic.amina.get(f"CodeSystem/$lookup?system={URGENCY}&code=emergent"))
    assert (told["name"], told["version"], told["display"]) == ("Urgency", "1.0.0", "Emergent")
    assert told["property"] == [
        {"code": "definition", "value": "At once: someone may come to harm."}
    ]
    query = f"system={URGENCY}&code=emergent&property=parent"
    assert "property" not in out(clinic.amina.get(f"CodeSystem/$lookup?{query}"))


def test_look_up_a_code_of_r4(clinic: Clinic) -> None:
    coding = {"system": PRIORITY, "code": "stat"}
    for answer in (
        clinic.amina.get(f"CodeSystem/$lookup?system={PRIORITY}&code=stat"),
        clinic.amina.post(body(coding__Coding=coding), "CodeSystem/$lookup"),
    ):
        told = out(answer)
        assert (told["name"], told["display"]) == ("RequestPriority", "STAT")


@pytest.mark.parametrize(("code", "mapped"), [("routine", "routine"), ("emergent", "stat")])
def test_translate_in_both_directions(clinic: Clinic, code: str, mapped: str) -> None:
    url = f"{OURS}/ConceptMap/urgency"
    there = out(clinic.amina.get(f"ConceptMap/$translate?url={url}&code={code}&system={URGENCY}"))
    assert there["result"] is True
    assert there["match"] == [
        {"equivalence": "equal", "concept": {"system": PRIORITY, "code": mapped}, "source": url}
    ]
    back = out(clinic.amina.get(f"ConceptMap/urgency/$translate?code={mapped}&reverse=true"))
    assert [match["concept"]["code"] for match in back["match"]] == [code]


def test_translate_without_naming_the_map(clinic: Clinic) -> None:
    query = f"code=emergent&system={URGENCY}"
    for more in ("", f"&targetsystem={PRIORITY}", f"&source={OURS}/ValueSet/urgency"):
        told = out(clinic.amina.get(f"ConceptMap/$translate?{query}{more}"))
        assert told["match"][0]["concept"]["code"] == "stat"
    told = out(clinic.amina.get(f"ConceptMap/$translate?{query}&targetsystem=http://elsewhere"))
    assert told["result"] is False


def test_a_code_without_translation_is_told_so(clinic: Clinic) -> None:
    told = out(clinic.amina.get("ConceptMap/urgency/$translate?code=zzz"))
    assert told == {"result": False, "message": "no translation is known"}


def test_a_map_that_is_sent_along(clinic: Clinic) -> None:
    group = {
        "source": "http://a",
        "target": "http://b",
        "element": [
            {"code": "1", "target": [{"code": "one", "equivalence": "wider"}]},
            {"code": "2", "target": [{"equivalence": "unmatched", "comment": "none"}]},
        ],
        "unmapped": {"mode": "fixed", "code": "other"},
    }
    given = {"resourceType": "ConceptMap", "status": "active", "group": [group]}

    def translated(code: str, *, reverse: bool = False) -> dict[str, Any]:
        asked = body(conceptMap=given, code__Code=code, reverse__Boolean=reverse)
        return out(clinic.amina.post(asked, "ConceptMap/$translate"))

    assert translated("1")["match"][0]["equivalence"] == "wider"
    assert translated("one", reverse=True)["match"][0]["equivalence"] == "narrower"
    assert translated("2")["result"] is False
    assert translated("3")["match"][0]["concept"] == {"system": "http://b", "code": "other"}


def test_unknown_parameters_pass_where_the_client_is_lenient(clinic: Clinic) -> None:
    path = "ValueSet/urgency/$expand?nonsense=x"
    assert clinic.amina.get(path, prefer="handling=lenient").status_code == 200


def test_another_content_type_is_415(clinic: Clinic) -> None:
    answer = clinic.amina.ask("POST", "ValueSet/$expand", "url=x", content_type="text/plain")
    assert refusal(answer)[0] == 415


def test_what_would_cost_too_much_is_refused(clinic: Clinic) -> None:
    many = [{"system": URGENCY, "code": "urgent"}] * 101
    concept = body(codeableConcept__CodeableConcept={"coding": many})
    whole = {"resourceType": "ValueSet", "status": "active"}
    parts = {"include": [{"valueSet": [EVENTS] * 101}]}
    for given, path in (
        (concept, "ValueSet/urgency/$validate-code"),
        (body(valueSet={**whole, "compose": parts}), "ValueSet/$expand"),
    ):
        assert refusal(clinic.amina.post(given, path)) == (400, "too-costly")
