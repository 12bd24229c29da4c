"""JSON Patch: the cases of the RFC's test suite, and what holds for every patch."""

from __future__ import annotations

from copy import deepcopy
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.json import dumps, parse
from fhir_server.fhir.patch import json_patch
from fhir_server.fhir.patch.json_patch import same
from fhir_server.problems import Problem
from tests.support.official import needs_shared, patches

Json = dict[str, Any]
CASES = patches("json-patch-tests.json")
KEYS = st.sampled_from(["a", "b", "~", "/", "~1", "", "0", "-", "name"])
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab~/", max_size=3)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)
POINTERS = st.lists(KEYS | st.sampled_from(["1", "2", "01"]), max_size=3).map(
    lambda tokens: "".join("/" + escaped(token) for token in tokens)
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])},
    optional={"path": POINTERS, "from": POINTERS, "value": VALUES},
)
PATIENT: Json = {"resourceType": "Patient", "id": "p", "name": [{"family": "Z"}]}


def escaped(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


def difference(before: Any, after: Any, place: str = "") -> list[Json]:
    """A patch from one value to the other."""
    if isinstance(before, dict) and isinstance(after, dict):
        gone = [{"op": "remove", "path": f"{place}/{escaped(k)}"} for k in before.keys() - after]
        kept = [
            step
            for key in before.keys() & after
            for step in difference(before[key], after[key], f"{place}/{escaped(key)}")
        ]
        new = [
            {"op": "add", "path": f"{place}/{escaped(key)}", "value": after[key]}
            for key in after.keys() - before
        ]
        return gone + kept + new
    return [] if same(before, after) else [{"op": "replace", "path": place, "value": after}]


@needs_shared
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["comment"])
def test_official_case(case: Json) -> None:
    if "error" in case:
        with pytest.raises(Problem):
            json_patch(case["patch"])(case["doc"])
    else:
        assert json_patch(case["patch"])(case["doc"]) == case["expected"]


@given(DOCUMENTS, DOCUMENTS)
def test_the_difference_applied_to_the_one_is_the_other(before: Json, after: Json) -> None:
    assert same(json_patch(difference(before, after))(before), after)


@given(DOCUMENTS, st.lists(OPERATIONS, max_size=6))
def test_only_a_problem_is_raised_and_neither_side_changed(
    document: Json, operations: list[Json]
) -> None:
    before = deepcopy((document, operations))
    try:
        change = json_patch(operations)
        first = change(document)
        assert same(change(document), first)
    except Problem as problem:
        status = problem.status
    else:
        status = 200
    assert status in {200, 400, 422}
    assert (document, operations) == before


@given(st.lists(VALUES, max_size=4))
def test_junk_is_a_problem(operations: list[Any]) -> None:
    if not operations:
        return
    with pytest.raises(Problem) as caught:
        json_patch(operations)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        ({"op": "zap", "path": "/a"}, "op must be"),
        ({"op": "add", "path": "a", "value": 1}, "path is not"),
        ({"op": "add", "path": "/a~2", "value": 1}, "path is not"),
        ({"op": "add", "path": "/a"}, "value is required"),
        ({"op": "add", "value": 1}, "path must be"),
        ({"op": "move", "path": "/a"}, "from must be"),
        ({"op": "move", "from": "/a", "path": "/a/b"}, "into itself"),
        ({"op": "remove", "path": ""}, "not removed"),
        ({"op": "remove", "path": "/a" * 65}, "longer than"),
    ],
)
def test_a_malformed_operation_is_named(operation: Json, word: str) -> None:
    with pytest.raises(Problem, match=word) as caught:
        json_patch([{"op": "test", "path": "/a", "value": 1}, operation])
    assert caught.value.status == 400
    assert caught.value.diagnostics.startswith("operation 1 ")
    assert caught.value.issues[0].expression == "$this[1]"


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/id", "value": "q"},
        {"op": "test", "path": "/active", "value": None},
        {"op": "remove", "path": "/name/1"},
        {"op": "remove", "path": "/name/-"},
        {"op": "add", "path": "/name/2", "value": {}},
        {"op": "add", "path": "/name/00", "value": {}},
        {"op": "replace", "path": "/gender", "value": "male"},
        {"op": "add", "path": "/id/x", "value": 1},
        {"op": "copy", "from": "/x", "path": "/y"},
    ],
)
def test_what_does_not_fit_the_resource_is_422(operation: Json) -> None:
    with pytest.raises(Problem) as caught:
        json_patch([operation])(PATIENT)
    assert caught.value.status == 422
    assert caught.value.diagnostics.startswith("operation 0 ")


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/id", "value": "q"},
        {"op": "remove", "path": "/id"},
        {"op": "replace", "path": "/resourceType", "value": "Practitioner"},
        {"op": "remove", "path": "/resourceType"},
        {"op": "replace", "path": "", "value": {"resourceType": "Patient", "id": "q"}},
        {"op": "replace", "path": "", "value": []},
        {"op": "move", "from": "/name", "path": ""},
    ],
)
def test_it_stays_the_same_resource(operation: Json) -> None:
    with pytest.raises(Problem) as caught:
        json_patch([operation])(PATIENT)
    assert caught.value.status == 422


def test_a_value_put_twice_is_two_values() -> None:
    value = {"family": "A"}
    added = [{"op": "add", "path": "/name/-", "value": value}] * 2
    changed = {"op": "replace", "path": "/name/1/family", "value": "B"}
    found = json_patch([*added, changed])(PATIENT)
    assert [name["family"] for name in found["name"]] == ["Z", "B", "A"]
    assert value == {"family": "A"}


def test_a_decimal_keeps_its_digits() -> None:
    quantity = parse(b'{"resourceType":"X","value":1.00}')
    found = json_patch([{"op": "copy", "from": "/value", "path": "/other"}])(quantity)
    assert dumps(found) == b'{"resourceType":"X","value":1.00,"other":1.00}'
    assert json_patch([{"op": "test", "path": "/value", "value": 1}])(quantity) == quantity


def test_what_would_grow_without_end_is_refused_soon() -> None:
    wider = [{"op": "add", "path": "/l", "value": ["x" * 1000]}]
    wider += [{"op": "copy", "from": "/l", "path": "/l/-"}] * 60
    deeper = [{"op": "copy", "from": "", "path": "/x"}] * 70
    moved: list[Json] = [
        {"op": "add", "path": "/a", "value": {}},
        {"op": "add", "path": "/b", "value": {}},
    ]
    moved += [
        step
        for one, other in [("/a", "/b"), ("/b", "/a")] * 100
        for step in (
            {"op": "move", "from": one, "path": f"{other}/x"},
            {"op": "add", "path": one, "value": {}},
        )
    ]
    started = process_time()
    for operations in (wider, deeper, moved):
        with pytest.raises(Problem):
            json_patch(operations)(PATIENT)
    assert process_time() - started < 5


def test_the_outcome_has_the_limits_of_a_body() -> None:
    long = [{"op": "add", "path": "/language", "value": "x" * 100}]
    with pytest.raises(Problem, match="larger than 100 bytes"):
        json_patch(long, largest=100)(PATIENT)
    deep: Any = "x"
    for _ in range(63):
        deep = [deep]
    with pytest.raises(Problem, match="deeper"):
        json_patch([{"op": "add", "path": "/name/0/given", "value": deep}])(PATIENT)


def test_there_are_not_too_many_operations() -> None:
    step = {"op": "test", "path": "/id", "value": "p"}
    assert json_patch([step] * 500)(PATIENT) == PATIENT
    with pytest.raises(Problem, match="500"):
        json_patch([step] * 501)
