"""What the indexer makes of a resource."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.definitions.model import Definitions
from fhir_server.store.index import Indexer
from fhir_server.store.index_row import IndexRow
from fhir_server.store.keys import (
    absent_key,
    hot_reference,
    parameter_mask,
    present_key,
    reference_key,
    resource_key,
    value_key,
)
from fhir_server.store.values.strings import LENGTH, after_prefix, normal
from fhir_server.store.values.tokens import any_code, any_system, with_system

BASE = "https://here/fhir/R4"


@pytest.fixture(scope="session")
def indexer(definitions: Definitions) -> Indexer:
    return Indexer(definitions, BASE)


def row(indexer: Indexer, **elements: Any) -> IndexRow:
    resource = {"resourceType": "Communication", "id": "c", **elements}
    return indexer.row("t", "Communication", resource)


def test_the_first_key_is_the_resource_itself(indexer: Indexer) -> None:
    assert row(indexer).keys[0] == resource_key("t", "Communication/c")


def test_a_reference_key_is_its_targets_under_the_parameters_mask() -> None:
    key = reference_key("t", "subject", "Patient/p")
    assert key == resource_key("t", "Patient/p") ^ parameter_mask("subject")
    assert -(2**63) <= key < 2**63


def test_tenants_share_no_key(indexer: Indexer) -> None:
    resource = {"resourceType": "Communication", "id": "c", "status": "completed"}
    ours = indexer.row("ours", "Communication", resource).keys
    theirs = indexer.row("theirs", "Communication", resource).keys
    assert not set(ours) & set(theirs)


def test_a_token_answers_to_each_form(indexer: Indexer) -> None:
    coding = {"system": "http://s", "code": "x"}
    keys = row(indexer, category=[{"coding": [coding]}]).keys
    for form in (any_system("x"), with_system("http://s", "x"), any_code("http://s")):
        assert value_key("t", "category", form) in keys
    assert value_key("t", "category", with_system("", "x")) not in keys


@pytest.mark.parametrize("text", ["Patient/p", "Patient/p/_history/3", f"{BASE}/Patient/p"])
def test_a_local_reference_is_type_and_id(indexer: Indexer, text: str) -> None:
    found = row(indexer, subject={"reference": text})
    assert found.hot["p_subject"] == "Patient/p"
    assert reference_key("t", "subject", "Patient/p") in found.keys


def test_a_contained_reference_points_nowhere(indexer: Indexer) -> None:
    found = row(indexer, subject={"reference": "#p"})
    assert found.hot["p_subject"] is None
    assert present_key("t", "subject") in found.keys


def test_further_references_go_to_the_value_table(indexer: Indexer) -> None:
    parts = [{"reference": f"Communication/{n}"} for n in (1, 2, 1, 3)]
    found = row(indexer, partOf=parts)
    assert found.hot["p_part_of"] == "Communication/1"
    assert [value.norm for value in found.values] == ["Communication/2", "Communication/3"]


def test_an_absent_hot_parameter_leaves_a_marker(indexer: Indexer) -> None:
    assert absent_key("t", "part-of") in row(indexer).keys
    keys = row(indexer, subject={"reference": "Group/g"}).keys
    assert absent_key("t", "patient") in keys
    assert absent_key("t", "subject") not in keys
    assert present_key("t", "subject") in keys


def test_a_long_url_is_kept_short() -> None:
    url = "https://elsewhere/" + "x" * 5000
    assert len(hot_reference(url)) < 100
    assert hot_reference(url) != hot_reference(url + "y")
    assert hot_reference("Patient/p") == "Patient/p"


def test_sort_values_are_the_ends(indexer: Indexer) -> None:
    found = row(indexer, category=[{"coding": [{"code": c} for c in "bca"]}], status="x")
    assert found.sorts == {"category": "a", "-category": "c", "status": "x"}


@pytest.mark.parametrize(
    ("text", "folded"),
    [("  Zahrá  MÜLLER ", "zahra muller"), ("Straße", "strasse"), ("من", "من"), ("́", "")],
)
def test_text_is_folded(text: str, folded: str) -> None:
    assert normal(text) == folded


@pytest.mark.parametrize(
    ("prefix", "after"),
    [("a", "b"), ("az", "a{"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", None)],
)
def test_the_end_of_a_prefix(prefix: str, after: str | None) -> None:
    assert after_prefix(prefix) == after


def test_a_huge_text_still_fits_the_index(indexer: Indexer) -> None:
    resource = {"resourceType": "Patient", "id": "p", "name": [{"family": "𒀀" * 10_000}]}
    found = indexer.row("t", "Patient", resource)
    assert all(len(value.norm or "") <= LENGTH for value in found.values)
