"""Composites, modifiers and words find what looking at every resource finds, and no more than the
caller may see."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.context import Context
from fhir_server.problems import Problem
from tests.search.bench import Bench, service
from tests.search.naive import Naive
from tests.search.value_worlds import worlds
from tests.support.effort import effort

SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
LAW = settings(deadline=None, max_examples=effort(8), suppress_health_check=SLOW)


@pytest.mark.parametrize("kinds", ["cp", "r", "g", "e"])
@LAW
@given(data=st.data())
async def test_a_search_by_values_is_brute_force(
    bench: Bench, kinds: str, data: st.DataObject
) -> None:
    world, questions = data.draw(worlds(*kinds))
    tenant = uuid4().hex
    await bench.put(tenant, world)
    naive = Naive(bench.definitions.types, world)
    for kind, pair in questions:
        found = await bench.ids(service(tenant), kind, [pair])
        assert len(found) == len(set(found))
        assert set(found) == naive.search(kind, [pair]), (kind, pair)


RESTRICTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
FORMS = (
    ("_content", '"the result" -draft'),
    ("_text", "narrated"),
    ("category:text", "lab"),
    ("category:in", "http://vs/a"),
    ("category:not-in", "http://vs/b"),
    ("category:below", "http://a|x"),
    ("category:above", "http://a|y"),
    ("subject:text", "zahr"),
    ("patient:text", "zahr"),
    ("subject:identifier", "http://a|7"),
    ("patient:identifier", "http://a|7"),
    ("identifier:not", "http://b|"),
    ("identifier:of-type", "http://a|x|1"),
    ("instantiates-uri:below", "http://h"),
    ("instantiates-uri:above", "http://h/a/b"),
    ("instantiates-canonical:below", "http://q|1"),
    ("status-uri", "completed$http://h/a"),
    ("_profile:below", "http://p"),
    ("_tag:not", "http://b|z"),
    ("_tag:in", "ValueSet/a"),
    ("_security:missing", "true"),
    ("_source:below", "http://s"),
)


def message(patient: str, part_of: str) -> dict[str, Any]:
    """A communication that every one of the forms finds."""
    coding = {"system": "http://a", "code": "x", "display": "Laboratory"}
    return {
        "resourceType": "Communication",
        "id": f"about-{patient}",
        "meta": {"profile": ["http://p/one"], "source": "http://s/x#1", "tag": [coding]},
        "status": "completed",
        "text": {"status": "generated", "div": "<div>What is <b>narrated</b></div>"},
        "category": [{"coding": [coding]}],
        "identifier": [{"type": {"coding": [coding]}, "system": "http://a", "value": "1"}],
        "instantiatesUri": ["http://h/a"],
        "instantiatesCanonical": ["http://q|1.2"],
        "partOf": [{"reference": f"Communication/{part_of}"}],
        "subject": {
            "reference": f"Patient/{patient}",
            "display": "Zahra",
            "identifier": {"system": "http://a", "value": "7"},
        },
        "payload": [{"contentString": "Here is the result."}],
    }


async def test_every_form_obeys_the_policy(bench: Bench, tenant: str) -> None:
    """By itself, at the end of a chain, of a reverse chain, and for another tenant."""
    sealed = {"security": [RESTRICTED]}
    await bench.put(tenant, [
        {"resourceType": "Patient", "id": "open"},
        {"resourceType": "Patient", "id": "sealed", "meta": sealed},
        message("open", "about-sealed"),
        message("sealed", "about-open"),
    ])  # fmt: skip
    doctor = Context(tenant, "d", user="Practitioner/d", roles=frozenset({"DOCTOR"}))
    for name, value in FORMS:
        both = await bench.ids(service(tenant), "Communication", [(name, value)])
        assert both == ["about-open", "about-sealed"], name
        assert await bench.ids(doctor, "Communication", [(name, value)]) == ["about-open"], name
        assert await bench.ids(service(uuid4().hex), "Communication", [(name, value)]) == [], name
        for link in ("part-of:Communication.", "_has:Communication:part-of:"):
            chained = [(link + name, value)]
            assert await bench.ids(service(tenant), "Communication", chained) == both, chained
            assert await bench.ids(doctor, "Communication", chained) == [], chained


async def test_the_shape_does_not_grow_with_the_values(bench: Bench) -> None:
    def sql(kind: str, name: str, *values: str) -> str:
        return bench.planner.plan(service("t"), kind, [(name, ",".join(values))]).sql

    for kind, name, values in (
        ("Encounter", "place-when", ("Location/a$2026", "Location/b$2025")),
        ("Patient", "whole-name", ("a$b", "c$d")),
        ("Communication", "category:text", ("a", "b")),
    ):
        assert sql(kind, name, *values) == sql(kind, name, *values, *values)
    assert sql("Communication", "_content", "a") == sql("Communication", "_content", "'; b", "c")
    assert sql("Group", "characteristic-value", "a$b") == sql(
        "Group", "characteristic-value", "x$y", "z$v"
    )


async def test_a_name_is_found_on_any_keyboard(bench: Bench, tenant: str) -> None:
    await bench.put(tenant, [
        {"resourceType": "Patient", "id": "p", "name": [{"family": "\u0639\u0644\u064a ۱۲"}]},
    ])  # fmt: skip
    for name in ("\u0639\u0644\u06cc", "\u0639\u0644\u0649 12", "\u0639\u0644\u064a ١٢"):
        assert await bench.ids(service(tenant), "Patient", [("name", name)]) == ["p"]


async def test_two_long_lists_in_one_element_leave_a_bounded_number_of_keys(bench: Bench) -> None:
    coding = [{"system": f"http://s{n}", "code": str(n)} for n in range(2_000)]
    concept = {"coding": coding}
    group = {
        "resourceType": "Group",
        "id": "g",
        "characteristic": [{"code": concept, "valueCodeableConcept": concept}],
    }
    assert len(bench.indexer.row("t", "Group", group).keys) < 20_000


@pytest.mark.parametrize("text", ["\U00012000" * 63 + "%05d", "%d ", "\ufdfa%d "])
async def test_a_text_without_end_is_stored_and_found_by_its_beginning(
    bench: Bench, tenant: str, text: str
) -> None:
    words = " ".join(["beginning", *(text % n for n in range(20_000)), "end"])
    payload = [{"contentString": words}]
    await bench.put(tenant, [{"resourceType": "Communication", "id": "c", "payload": payload}])
    for word, found in (("beginning", ["c"]), ("end", [])):
        params = [("_content", word)]
        assert await bench.ids(service(tenant), "Communication", params) == found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("category:in", "http://nowhere"),
        ("category:below", "http://a|none"),
        ("status-uri", "completed$"),
        ("_content", "-x"),
        ("instantiates-uri:above", "urn:a"),
    ],
)
def test_a_refusal_names_the_parameter(bench: Bench, name: str, value: str) -> None:
    with pytest.raises(Problem) as caught:
        bench.planner.plan(service("t"), "Communication", [(name, value)])
    code = name.partition(":")[0]
    assert caught.value.issues[0].expression == code
    assert caught.value.diagnostics.startswith(f"{code}: ")
