"""FHIRPath as FHIR uses it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir import path
from fhir_server.fhir.json import FhirDecimal
from fhir_server.fhir.path import PathError
from fhir_server.fhir.path.operators import contains, distinct, excluded

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": False,
    "contained": [{"resourceType": "Organization", "id": "o"}],
    "birthDate": "1970-03",
    "_birthDate": {"extension": [{"url": "time", "valueDateTime": "1970-03-01T10:00:00Z"}]},
    "_gender": {"extension": [{"url": "reason", "valueCode": "unknown"}]},
    "name": [
        {
            "family": "A",
            "given": [None, "B"],
            "_given": [{"extension": [{"url": "hidden", "valueBoolean": True}]}, None],
        }
    ],
    "deceasedBoolean": False,
    "managingOrganization": {"reference": "#o"},
    "generalPractitioner": [
        {"reference": "Practitioner/1"},
        {"reference": "https://x.example/fhir/Organization/2"},
        {"type": "PractitionerRole", "display": "by type alone"},
        {"display": "unknown"},
    ],
    "extension": [{"url": "u", "valueDecimal": FhirDecimal("1.50")}],
}
MOMENTS = ("2026-01-31T09:00:00Z", "2026-01-31T10:00:00+01:00", "2026-01-31T09:00:00.000Z")
ITEMS = st.one_of(
    st.sampled_from([*MOMENTS, "2026-01-31", "x", "", True, False, 0, 1, FhirDecimal("1.0")]),
    st.fixed_dictionaries({"a": st.sampled_from([1, True, "x", [1, {"b": 2}], [{"b": 2}, 1]])}),
)


@given(st.lists(ITEMS, max_size=30), st.lists(ITEMS, max_size=30))
def test_many_items_are_told_apart_as_a_few_are(items: list[Any], others: list[Any]) -> None:
    different: list[Any] = []
    for item in items:
        if not contains(different, item):
            different.append(item)
    assert list(map(repr, distinct(items))) == list(map(repr, different))
    kept = [item for item in items if not contains(others, item)]
    assert list(map(repr, excluded(items, others))) == list(map(repr, kept))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Patient.name.family", ["A"]),
        ("Practitioner.name.family", []),
        ("Resource.id", ["p"]),
        ("DomainResource.id", ["p"]),
        ("name[0].family", ["A"]),
        ("name[1].family", []),
        ("name.given", ["B"]),
        ("name.given.count()", [2]),
        ("name.given.extension('hidden').value", [True]),
        ("birthDate", ["1970-03"]),
        ("birthDate.extension('time').value", ["1970-03-01T10:00:00Z"]),
        ("birthDate.extension.url", ["time"]),
        ("birthDate.hasValue()", [True]),
        ("gender", []),
        ("gender.exists()", [True]),
        ("gender.hasValue()", [False]),
        ("gender.extension('reason').value", ["unknown"]),
        ("deceased", [False]),
        ("deceased.exists() and deceased != false", [False]),
        ("deceased is boolean", [True]),
        ("deceased is dateTime", [False]),
        ("(deceased as boolean)", [False]),
        ("deceased.as(dateTime)", []),
        ("deceased.ofType(FHIR.boolean)", [False]),
        ("multipleBirth is integer", []),
        ("extension('u').value", [1.5]),
        ("extension('u').value.toString()", ["1.50"]),
        ("extension('v').value", []),
        ("active", [False]),
        ("active.not()", [True]),
        ("active = false", [True]),
        ("active = 0", [False]),
        ("missing = 'x'", []),
        ("missing != 'x'", []),
        ("missing = 'x' or true", [True]),
        ("missing = 'x' and false", [False]),
        ("missing = 'x' implies true", [True]),
        ("true implies missing = 'x'", []),
        ("false implies missing = 'x'", [True]),
        ("true xor false", [True]),
        ("missing xor true", []),
        ("managingOrganization.resolve() is Organization", [True]),
        ("managingOrganization.where(resolve() is Organization).reference", ["#o"]),
        ("managingOrganization.where(resolve() is Patient)", []),
        ("generalPractitioner.where(resolve() is Practitioner).reference", ["Practitioner/1"]),
        ("generalPractitioner.where(resolve() is PractitionerRole).display", ["by type alone"]),
        (
            "generalPractitioner.where(resolve() is Organization).reference",
            ["https://x.example/fhir/Organization/2"],
        ),
        ("%resource.id", ["p"]),
        ("%rootResource.contained.id", ["o"]),
        ("%ucum", ["http://unitsofmeasure.org"]),
        ("contained.ofType(Organization).id", ["o"]),
        ("name.family in ('A' | 'B')", [True]),
        ("('A' | 'B') contains name.family", [True]),
        ("missing in ('A' | 'B')", []),
        ("'a' | 'b' | 'a'", ["a", "b"]),
        ("'a'.combine('a')", ["a", "a"]),
        ("('a' | 'b').exclude('a')", ["b"]),
        ("('a' | 'b').intersect('b' | 'c')", ["b"]),
        ("name.select(family & '/' & given.last())", ["A/B"]),
        ("'x' & {}", ["x"]),
        ("1 + 2", [3]),
        ("'1' + '2'", ["12"]),
        ("{} + 1", []),
        ("'12'.toInteger() > 11", [True]),
        ("'abc'.substring(1)", ["bc"]),
        ("'abc'.substring(9)", []),
        ("'abc'.length()", [3]),
        ("'abc'.matches('^a.c$')", [True]),
        ("name.all(family.exists())", [True]),
        ("name.exists(family = 'A')", [True]),
        ("iif(name.exists(), 'yes', 'no')", ["yes"]),
        ("missing.iif(empty(), 'none', 'some')", ["none"]),
        ("name.family.trace('x') = 'A'", [True]),
        ("name.trace('x, (y)', family).family", ["A"]),
        ("name.`family`", ["A"]),
        ("'it\\'s \\u0041'", ["it's A"]),
    ],
)
def test_a_path_yields(expression: str, expected: list[Any]) -> None:
    compiled = path.compile(expression)
    assert compiled.native
    assert compiled.values(PATIENT) == expected
    assert compiled.test(PATIENT) is (expected == [True])


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        ("2024-01", "<=", "2024-02", [True]),
        ("2024-02", "<=", "2024-01", [False]),
        ("2024-01", "<=", "2024-01-15", []),
        ("2024", "<", "2025-01-01T00:00:00Z", [True]),
        ("2024-01-01T10:00:00+04:30", "<", "2024-01-01T09:00:00Z", [True]),
        ("2024-01-01T10:00:00Z", "<=", "2024-01-01T10:00:00.000Z", [True]),
        ("2024-01-01T10:00:00Z", "=", "2024-01-01T14:30:00+04:30", [True]),
        ("2024-01-01T10:00:00Z", ">", "2024-01-01T10:00:00Z", [False]),
        ("2024-01-01T10:00:00Z", ">=", "2024-01-01T10:00:00Z", [True]),
        ("a", "<", "b", [True]),
    ],
)
def test_moments_compare_as_moments(
    left: str, operator: str, right: str, expected: list[bool]
) -> None:
    node = {"start": left, "end": right}
    assert path.compile(f"start {operator} end").values(node) == expected


def test_quantities_compare_within_a_unit() -> None:
    compiled = path.compile("low <= high")
    low = {"value": 1, "system": "s", "code": "m"}
    assert compiled.values({"low": low, "high": {**low, "value": 2}}) == [True]
    assert compiled.values({"low": low, "high": {**low, "code": "km"}}) == []


REF_1 = (
    "reference.startsWith('#').not() or "
    "(reference.substring(1).trace('url') in %rootResource.contained.id.trace('ids'))"
)
ELE_1 = "hasValue() or (children().count() > id.count())"


@pytest.mark.parametrize(
    ("expression", "node", "holds"),
    [
        (REF_1, {"reference": "#o"}, True),
        (REF_1, {"reference": "#x"}, False),
        (REF_1, {"reference": "Patient/1"}, True),
        (REF_1, {"identifier": {"value": "1"}}, True),
        (ELE_1, "text", True),
        (ELE_1, False, True),
        (ELE_1, {"id": "1"}, False),
        (ELE_1, {}, False),
        (ELE_1, {"active": False}, True),
        (ELE_1, {"coding": []}, False),
        ("extension.exists() != value.exists()", {"url": "a", "valueString": "b"}, True),
        ("extension.exists() != value.exists()", {"url": "a"}, False),
        ("extension.exists() != value.exists()", {"url": "a", "_valueCode": {"id": "1"}}, True),
        ("htmlChecks()", '<div xmlns="http://www.w3.org/1999/xhtml">a</div>', True),
        (
            "htmlChecks()",
            '<div xmlns="http://www.w3.org/1999/xhtml"><script>a</script></div>',
            False,
        ),
        ("htmlChecks()", '<div xmlns="http://www.w3.org/1999/xhtml"> </div>', False),
        (
            "htmlChecks()",
            '<div xmlns="http://www.w3.org/1999/xhtml"><p onclick="a">b</p></div>',
            False,
        ),
        ("htmlChecks()", "<div>a</div>", False),
        ("htmlChecks()", "a", False),
        ("htmlChecks()", '<!DOCTYPE d [<!ENTITY e "x">]><div>&e;</div>', False),
    ],
)
def test_an_invariant(expression: str, node: Any, *, holds: bool) -> None:
    assert path.compile(expression).test(node, PATIENT, PATIENT) is holds


DOM_3 = (
    "contained.where((('#'+id in (%resource.descendants().reference | "
    "%resource.descendants().as(canonical) | %resource.descendants().as(uri) | "
    "%resource.descendants().as(url))) or descendants().where(reference = '#').exists() or "
    "descendants().where(as(canonical) = '#').exists() or "
    "descendants().where(as(canonical) = '#').exists()).not()).trace('unmatched', id).empty()"
)


def test_every_contained_resource_is_referenced() -> None:
    compiled = path.compile(DOM_3)
    assert compiled.native
    assert compiled.test(PATIENT)
    assert compiled.test({"resourceType": "Patient"})
    assert not compiled.test({**PATIENT, "managingOrganization": {"reference": "Organization/o"}})
    back = {"resourceType": "Provenance", "id": "v", "target": [{"reference": "#"}]}
    assert compiled.test({"resourceType": "Patient", "contained": [back]})


@pytest.mark.parametrize(
    "expression",
    ["", "a..b", "a b", "1 +", "'a", "a.where(b = 'x'", "nope()", "a.nope(1)", "a)", "((a)"],
)
def test_no_expression(expression: str) -> None:
    with pytest.raises(PathError):
        path.compile(expression)


@pytest.mark.parametrize(
    "expression", ["(" * 10_000, "(" * 9_999 + "a" + ")" * 9_999, "a.b" * 9_999]
)
def test_endless_expressions_are_refused(expression: str) -> None:
    with pytest.raises(PathError):
        path.compile(expression).values({})


@pytest.mark.parametrize(
    "expression", ["name.given.single()", "'a' < 1", "'a' - 'b'", "'a'.matches('(')", "1.length()"]
)
def test_what_cannot_be_evaluated_is_an_error_and_not_true(expression: str) -> None:
    node = {"name": [{"given": ["a", "b"]}]}
    with pytest.raises(PathError):
        path.compile(expression).values(node)
    assert path.compile(expression).test(node) is False


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("name.family.replace('A', 'C')", ["C"]),
        ("birthDate.hasValue() and name.repeat(given).exists()", [True]),
        ("%context.id", ["p"]),
        ("3 * 0.5", [1.5]),
        ("managingOrganization.trace('x').where($index = 0).reference", ["#o"]),
        (
            "generalPractitioner[0].resolve().ofType(Practitioner).id.upper().replace('1', '2')",
            ["2"],
        ),
    ],
)
def test_everything_else_is_left_to_fhirpathpy(
    expression: str, expected: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    compiled = path.compile(expression)
    assert not compiled.native
    assert compiled.values(PATIENT) == expected
    assert capfd.readouterr() == ("", "")


def test_compiling_twice_gives_the_same() -> None:
    assert path.compile("a.b") is path.compile("a.b")


def test_importing_and_running_prints_nothing() -> None:
    script = (
        "from fhir_server.fhir import bundle, ids, instant, json, outcome, path, reference\n"
        "path.compile(\"a.trace('x')\").values({'a': 1})\n"
        "path.compile(\"a.trace('x').replace('a', 'b')\").values({'a': 'a'})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "_a", "value", "valueString", "_valueString", "reference", "id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
EXPRESSION = st.sampled_from(
    [
        "a",
        "a.value",
        "a.extension('x').value",
        "a.id",
        "value.ofType(string)",
        "a.where(resolve() is Patient)",
        "a.where(value = 'x').exists()",
        "a <= value",
        "a in value",
        "a | value",
        "children().count()",
        "descendants().count()",
        "a.first().hasValue()",
        REF_1,
        ELE_1,
        DOM_3,
        "htmlChecks()",
    ]
)


@given(EXPRESSION, JSON)
def test_no_json_breaks_an_expression(expression: str, node: Any) -> None:
    compiled = path.compile(expression)
    assert compiled.test(node) in {True, False}
    with contextlib.suppress(PathError):
        assert isinstance(compiled.values(node), list)
