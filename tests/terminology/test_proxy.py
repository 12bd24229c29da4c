"""What is not known here is asked of the terminology server that is set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest

from fhir_server.settings import Settings
from tests.conftest import Token
from tests.support.bundles import bundle, post
from tests.support.clinic import refusal
from tests.support.server import listening
from tests.terminology.server import Mode, Terminology, serving

SNOMED = "http://snomed.info/sct"
NEAR = {
    "resourceType": "ValueSet",
    "status": "active",
    "compose": {
        "include": [
            {
                "system": "http://afar",
                "filter": [{"property": "concept", "op": "is-a", "value": "x"}],
            }
        ]
    },
}
FAILURES = sorted(set(get_args(Mode)) - {"well", "refusing", "expanding"})


@pytest.fixture(scope="module")
def running() -> Iterator[Terminology]:
    with serving() as server:
        yield server


@pytest.fixture
def afar(running: Terminology) -> Terminology:
    running.reset()
    return running


@pytest.fixture(scope="module")
def settings_of_tests(settings_of_tests: Settings, running: Terminology) -> Settings:
    """The server under test knows the terminology server."""
    set_ = {"terminology_url": f"{running.url}/", "terminology_timeout": 1.0}
    return settings_of_tests.model_copy(update=set_)


@pytest.fixture
def amina(server_url: str, token: Token) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {token('t', 'usr_amina', 'DOCTOR')}"}
    with httpx.Client(base_url=f"{server_url}/fhir/R4/", headers=headers) as client:
        yield client


def given(afar: Terminology) -> dict[str, Any]:
    """The parameters of the one request that was made."""
    [(_, _, body)] = afar.asked
    return {parameter.pop("name"): next(iter(parameter.items())) for parameter in body["parameter"]}


def test_an_unknown_code_system_is_asked_about(amina: httpx.Client, afar: Terminology) -> None:
    answer = amina.get(f"CodeSystem/$lookup?system={SNOMED}&code=22298006")
    assert answer.json()["parameter"] == [{"name": "display", "valueString": "From afar"}]
    assert afar.asked[0][0] == "/r4/CodeSystem/$lookup"
    assert given(afar) == {"system": ("valueUri", SNOMED), "code": ("valueCode", "22298006")}


def test_nothing_of_the_caller_is_told(amina: httpx.Client, afar: Terminology) -> None:
    amina.get(f"CodeSystem/$lookup?system={SNOMED}&code=1")
    headers = afar.asked[0][1]
    assert not {"authorization", "cookie", "x-forwarded-for"} & headers.keys()
    assert headers["content-type"] == "application/fhir+json"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"ValueSet/$expand?url={SNOMED}?fhir_vs&count=2&activeOnly=true",
         {"url": ("valueUri", f"{SNOMED}?fhir_vs"), "count": ("valueInteger", 2),
          "activeOnly": ("valueBoolean", True)}),
        ("ValueSet/$validate-code?url=http://x&code=1",
         {"url": ("valueUri", "http://x"), "code": ("valueCode", "1")}),
        (f"CodeSystem/$validate-code?system={SNOMED}&code=1",
         {"url": ("valueUri", SNOMED), "code": ("valueCode", "1")}),
        (f"ConceptMap/$translate?system={SNOMED}&code=1&reverse=true",
         {"system": ("valueUri", SNOMED), "code": ("valueCode", "1"),
          "reverse": ("valueBoolean", True)}),
    ],
)  # fmt: skip
def test_each_operation_is_passed_on(
    amina: httpx.Client, afar: Terminology, path: str, told: dict[str, Any]
) -> None:
    assert amina.get(path).status_code == 200
    assert afar.asked[0][0] == f"/r4/{path.partition('?')[0]}"
    assert given(afar) == told


def test_codings_go_along_whole(amina: httpx.Client, afar: Terminology) -> None:
    coding = {"system": SNOMED, "code": "1"}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "coding", "valueCoding": coding}],
    }
    headers = {"content-type": "application/fhir+json"}
    assert amina.post("CodeSystem/$lookup", json=parameters, headers=headers).status_code == 200
    assert given(afar) == {"coding": ("valueCoding", coding)}


def test_what_is_known_here_is_answered_here(amina: httpx.Client, afar: Terminology) -> None:
    for path in (
        "ValueSet/urgency/$expand",
        "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/event-status",
        "CodeSystem/$lookup?system=http://hl7.org/fhir/request-priority&code=stat",
        "CodeSystem/urgency/$validate-code?code=zzz",
        "ConceptMap/urgency/$translate?code=zzz",
    ):
        assert amina.get(path).status_code == 200
    missing = "CodeSystem/$lookup?system=http://hl7.org/fhir/request-priority&code=zzz"
    assert refusal(amina.get(missing)) == (404, "not-found")
    assert afar.asked == []


def test_a_bad_question_is_not_passed_on(amina: httpx.Client, afar: Terminology) -> None:
    for path in ("ValueSet/$expand?url=http://x&count=x", "ValueSet/$expand?url=http://x&foo=1"):
        assert refusal(amina.get(path))[0] == 400
    assert afar.asked == []


def test_its_refusal_is_passed_back(amina: httpx.Client, afar: Terminology) -> None:
    afar.mode = "refusing"
    answer = amina.get(f"CodeSystem/$lookup?system={SNOMED}&code=1")
    assert refusal(answer) == (404, "not-found")
    assert answer.json()["issue"][0]["diagnostics"] == "no such code"


@pytest.mark.parametrize("mode", FAILURES)
def test_while_it_fails_503(amina: httpx.Client, afar: Terminology, mode: Mode) -> None:
    afar.mode = mode
    answer = amina.get(f"CodeSystem/$lookup?system={SNOMED}&code=1")
    assert refusal(answer) == (503, "transient")
    assert "terminology server" in answer.json()["issue"][0]["diagnostics"]
    assert answer.headers["retry-after"]
    assert amina.get("ValueSet/urgency/$expand").status_code == 200


def test_while_it_is_down_503(settings_of_tests: Settings, token: Token) -> None:
    nowhere = settings_of_tests.model_copy(update={"terminology_url": "http://127.0.0.1:9/r4"})
    headers = {"authorization": f"Bearer {token('t', 'usr_amina', 'DOCTOR')}"}
    with listening(nowhere) as address:
        path = f"{address}/fhir/R4/CodeSystem/$lookup?system={SNOMED}&code=1"
        assert refusal(httpx.get(path, headers=headers)) == (503, "transient")


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("category:in=http://vs/afar", {"url": ("valueUri", "http://vs/afar")}),
        ("category:not-in=http://vs/afar", {"url": ("valueUri", "http://vs/afar")}),
        ("part-of.category:in=http://vs/afar", {"url": ("valueUri", "http://vs/afar")}),
        ("category:below=http://afar|x", {"valueSet": ("resource", NEAR)}),
    ],
)
def test_a_search_is_told_codes_from_afar(
    amina: httpx.Client, afar: Terminology, query: str, asked: dict[str, Any]
) -> None:
    afar.mode = "expanding"
    answer = amina.get(f"Communication?{query}")
    assert answer.status_code == 200, answer.text
    assert given(afar) == {**asked, "count": ("valueInteger", 5001)}


@pytest.mark.parametrize(("mode", "status"), [("broken", 503), ("well", 503), ("refusing", 400)])
def test_a_search_says_why_it_is_told_nothing(
    amina: httpx.Client, afar: Terminology, mode: Mode, status: int
) -> None:
    afar.mode = mode
    answer = amina.get("Communication?category:in=http://vs/afar")
    assert refusal(answer)[0] == status
    assert ("retry-after" in answer.headers) is (status == 503)
    assert amina.get("Communication?category:in=ValueSet/urgency").status_code == 200


def test_a_search_asks_of_a_few_value_sets_only(amina: httpx.Client, afar: Terminology) -> None:
    afar.mode = "expanding"
    many = ",".join(f"http://vs/{n}" for n in range(9))
    assert refusal(amina.get(f"Communication?category:in={many}")) == (400, "too-costly")


@pytest.mark.parametrize(("mode", "status"), [("expanding", 412), ("broken", 503)])
def test_a_reference_by_criteria_is_told_codes_from_afar(
    amina: httpx.Client, afar: Terminology, mode: Mode, status: int
) -> None:
    afar.mode = mode
    sent = {
        "resourceType": "Communication",
        "status": "completed",
        "partOf": [{"reference": "Communication?category:in=http://vs/afar"}],
    }
    answer = amina.post("", json=bundle("transaction", post(sent)))
    assert refusal(answer)[0] == status
    assert len(afar.asked) == 1
