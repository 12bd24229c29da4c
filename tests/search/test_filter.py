"""`_filter` finds what looking at every resource finds, and says where it is wrong."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.problems import Problem
from fhir_server.store.search.filter.expression import Joined, terms
from fhir_server.store.search.filter.parser import parse
from tests.search.bench import Bench, service
from tests.search.filters import FILTERS, Meaning, text
from tests.search.naive import Naive
from tests.search.test_laws import LAW
from tests.search.worlds import worlds


@LAW
@given(world=worlds(), filters=st.lists(FILTERS, min_size=1, max_size=8), data=st.data())
async def test_a_filter_is_brute_force(
    bench: Bench, world: list[dict[str, Any]], filters: list[Any], data: st.DataObject
) -> None:
    tenant = uuid4().hex
    await bench.put(tenant, world)
    meaning = Meaning(Naive(bench.definitions.types, world))
    for kind, tree in filters:
        written = text(data.draw, tree)
        found = await bench.ids(service(tenant), kind, [("_filter", written)])
        assert len(found) == len(set(found))
        assert set(found) == meaning.search(kind, tree), written


@LAW
@given(
    one=FILTERS,
    cut=st.integers(0, 200),
    put=st.text('()[]". \\and|:é\0', max_size=3),
    data=st.data(),
)
async def test_a_broken_filter_is_refused_with_its_position(
    bench: Bench, one: Any, cut: int, put: str, data: st.DataObject
) -> None:
    kind, tree = one
    written = text(data.draw, tree)
    at = cut % (len(written) + 1)
    broken = written[:at] + put + written[at + data.draw(st.integers(0, 3)) :]
    problem = await refusal(bench, kind, broken)
    if problem is not None:
        assert problem.status == 400
        position = re.match(r"_filter at (\d+): ", problem.diagnostics)
        assert position, problem.diagnostics
        assert 1 <= int(position[1]) <= len(broken) + 1


async def refusal(bench: Bench, kind: str, written: str) -> Problem | None:
    """A change may leave a filter as good as it was."""
    try:
        await bench.page(service("t"), kind, [("_filter", written)])
    except Problem as problem:
        return problem
    return None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "_filter at 1: expected a parameter"),
        ("status", "_filter at 7: expected a space and an operator"),
        ("status is completed", "_filter at 8: expected an operator"),
        ("status EQ completed", "_filter at 8: expected an operator"),
        ("status eq", "_filter at 10: expected a space and a value"),
        ("status eq ", "_filter at 11: expected a value"),
        ('status eq "completed', "_filter at 11: the string does not end"),
        ('status eq "a\\q"', "_filter at 13: not a JSON string"),
        ('status eq "a"and', "_filter at 14: expected a space after the string"),
        ("status eq a status eq b", "_filter at 13: expected and, or, or the end"),
        ("status eq a and", "_filter at 16: expected a parameter"),
        ("(status eq a", "_filter at 13: expected and, or, or )"),
        ("status eq a)", "_filter at 12: expected and, or, or the end"),
        ("subject[active eq true name eq x", "_filter at 24: expected and, or, or ]"),
        ("subject[active eq true] pr true", "_filter at 24: expected a dot and a name"),
        ("status eq a and nonsense eq b", "_filter at 17: Communication has no search parameter"),
        ("status co a", "_filter at 1: co does not apply to status, a token"),
        ("status eq a or sent gt soon", "_filter at 24: sent: not a date"),
        ("sent pr maybe", "_filter at 9: sent: pr is true or false"),
        ("subject:Patient.nonsense eq a", "_filter at 1: Patient has no search parameter"),
        ('status eq "\\ud800"', "_filter at 1: a parameter is not valid Unicode"),
        ('subject.name eq "\\u0000"', "_filter at 1: a parameter contains the NUL character"),
        ("subject:Patient.name eq \u0301", "_filter at 25: name: no letters or digits"),
        ("(" * 17 + "status eq a" + ")" * 17, "_filter at 18: nested deeper than 16"),
        ("not " * 17 + "status eq a", "_filter at 68: nested deeper than 16"),
        (" or ".join(["status eq a"] * 65), "_filter at 961: more than 64 terms"),
        ("x" * 5000, "_filter is longer than 4096 characters"),
        ("a.b.c.d.e.f eq x", "_filter at 1: "),
    ],
)
async def test_a_refusal_names_the_place(bench: Bench, written: str, said: str) -> None:
    with pytest.raises(Problem) as caught:
        await bench.page(service("t"), "Communication", [("_filter", written)])
    assert caught.value.status == 400
    assert caught.value.diagnostics.startswith(said), caught.value.diagnostics


@pytest.mark.parametrize(
    "params",
    [
        [("_filter", " or ".join(["status eq a"] * 40))] * 2,
        [("_filter", "part-of.part-of.status eq a")] * 7,
        [("_filter", "part-of.part-of.part-of.part-of.part-of.status eq a")],
        [("_has:Communication:part-of:_filter", "part-of.part-of.part-of.part-of.status eq a")],
    ],
)
async def test_all_filters_together_are_bounded(bench: Bench, params: Any) -> None:
    with pytest.raises(Problem) as caught:
        await bench.page(service("t"), "Communication", params)
    assert caught.value.issues[0].code == "too-costly"


async def test_the_deepest_filter_is_answered(bench: Bench, tenant: str) -> None:
    """Alternating words nest as deep as there are terms."""
    await bench.put(tenant, [{"resourceType": "Communication", "id": "c", "status": "completed"}])
    words = [" and ", " or "] * 31
    inner = "".join(f"status eq completed{word}" for word in words) + "sent pr true"
    written = "(not " * 6 + f"({inner})" + ")" * 6
    assert await bench.ids(service(tenant), "Communication", [("_filter", written)]) == ["c"]


def test_words_have_no_rank() -> None:
    """From left to right: (a or b) and c."""
    found = parse("status eq a or status eq b and status eq c")
    assert isinstance(found, Joined)
    assert found.word == "and"
    assert [term.value for term in terms(found)] == ["a", "b", "c"]


async def test_a_filter_may_be_behind_a_chain(bench: Bench, tenant: str) -> None:
    await bench.put(tenant, [
        {"resourceType": "Patient", "id": "p", "active": True, "birthDate": "1980-01-01"},
        {"resourceType": "Communication", "id": "c", "subject": {"reference": "Patient/p"}},
    ])  # fmt: skip
    ctx = service(tenant)
    for params in (
        [("subject:Patient._filter", "active eq true and birthdate lt 1990")],
        [("_filter", "subject[birthdate lt 1990].active eq true")],
        [("_filter", "subject eq Patient/p"), ("_filter", "patient.active eq true")],
    ):
        assert await bench.ids(ctx, "Communication", params) == ["c"]
    has = [("_has:Communication:patient:_filter", "sent pr false")]
    assert await bench.ids(ctx, "Patient", has) == ["p"]


def test_a_filter_drives_as_its_terms_would(bench: Bench) -> None:
    """Terms of a top-level `and`, alternatives of one parameter, and parentheses: one plan."""

    def plan(*params: tuple[str, str]) -> str:
        return bench.planner.plan(service("t"), "Communication", params).sql

    one = plan(("subject", "Patient/x"))
    assert "p_subject = " in one
    assert plan(("_filter", "subject eq Patient/x")) == one
    assert plan(("_filter", '((subject re "Patient/y"))')) == one
    many = plan(("subject", "Patient/x,Patient/y"))
    assert plan(("_filter", "subject eq Patient/x or subject eq Patient/y")) == many
    both = plan(("subject", "Patient/x"), ("sent", "ge2026"), ("status", "completed"))
    written = "(subject eq Patient/x and sent ge 2026) and status eq completed"
    assert plan(("_filter", written)) == both
    assert plan(("_filter", "status eq a or status eq b")) == plan(("status", "a,b,c"))
