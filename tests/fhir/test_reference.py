"""References of every form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.reference import Reference, parse, relative

BASE = "https://here.example/fhir/R4"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/x", Reference("Patient", "x")),
        ("Patient/x/_history/2", Reference("Patient", "x", "2")),
        ("#p1", Reference(fragment="p1")),
        ("#", Reference(fragment="")),
        ("Patient/x#part", Reference("Patient", "x", fragment="part")),
        (f"{BASE}/Patient/x", Reference("Patient", "x")),
        (f"{BASE}/Patient/x/_history/2", Reference("Patient", "x", "2")),
        (
            "http://there.example/Patient/x",
            Reference("Patient", "x", url="http://there.example/Patient/x"),
        ),
        ("urn:uuid:9a7c", Reference(url="urn:uuid:9a7c")),
        ("http://there.example/a?b=c", Reference(url="http://there.example/a?b=c")),
        ("patient/x", Reference(url="patient/x")),
        ("Patient/", Reference(url="Patient/")),
        ("Patient/a_b", Reference(url="Patient/a_b")),
        ("Patient/x\n", Reference(url="Patient/x\n")),
        ("", Reference(url="")),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_reference(text: str, expected: Reference, slash: str) -> None:
    assert parse(text, BASE + slash) == expected


def test_references_under_the_base_become_relative() -> None:
    absolute = {"a": [{"reference": f"{BASE}/Patient/x/_history/2"}, {"reference": f"{BASE}/x"}]}
    there = {"subject": {"reference": "http://there.example/Patient/x", "display": BASE}}
    assert relative(absolute, BASE + "/") == {
        "a": [{"reference": "Patient/x/_history/2"}, {"reference": f"{BASE}/x"}]
    }
    assert relative(there, BASE) == there


def test_local_names_a_resource_of_this_server() -> None:
    assert parse("Patient/x/_history/2").local == "Patient/x"
    assert parse(f"{BASE}/Patient/x", BASE).local == "Patient/x"
    assert parse(f"{BASE}/Patient/x").local is None
    assert parse("#x").local is None


@given(st.text())
def test_any_text_is_some_reference(text: str) -> None:
    found = parse(text, BASE)
    assert found.local or found.url is not None or found.fragment is not None
