"""JSON Merge Patch: the RFC's own examples, and what holds for every patch."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.patch import merge_patch
from fhir_server.problems import Problem

Json = dict[str, Any]
KEYS = st.sampled_from(["a", "b", "c", "_a"])
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


# https://www.rfc-editor.org/rfc/rfc7396#appendix-A, those whose document is an object
@pytest.mark.parametrize(
    ("document", "patch", "outcome"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_rfcs_examples(document: Json, patch: Json, outcome: Json) -> None:
    assert merge_patch(patch)(document) == outcome


def naive(target: Any, patch: Any) -> Any:
    """The pseudocode of the RFC."""
    if not isinstance(patch, dict):
        return patch
    kept = target if isinstance(target, dict) else {}
    changed = {key: naive(kept.get(key), value) for key, value in patch.items()}
    return {key: v for key, v in {**kept, **changed}.items() if patch.get(key, 0) is not None}


@given(DOCUMENTS, DOCUMENTS)
def test_it_merges_as_the_rfc_says_and_changes_nothing_else(document: Json, patch: Json) -> None:
    before = deepcopy((document, patch))
    assert merge_patch(patch)(document) == naive(document, patch)
    assert (document, patch) == before


@pytest.mark.parametrize("patch", [{"id": "y"}, {"id": None}, {"resourceType": "Group"}])
def test_id_and_type_stay(patch: Json) -> None:
    with pytest.raises(Problem, match="may not change") as caught:
        merge_patch(patch)({"resourceType": "Patient", "id": "x"})
    assert caught.value.status == 422


def test_what_grows_too_large_is_refused() -> None:
    with pytest.raises(Problem, match="larger than 10 bytes"):
        merge_patch({"a": "b" * 10}, largest=10)({})
