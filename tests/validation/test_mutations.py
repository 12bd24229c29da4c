"""Laws: a valid resource that is broken at one place is refused, and there."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions.facts import load_facts
from fhir_server.problems import Issue
from fhir_server.validation import Validator
from fhir_server.validation.structure import Compiler
from tests.support.official import examples, needs_shared
from tests.support.walk import Spot, spots

FACTS = load_facts()
VALIDATOR = Validator(FACTS)
COMPILER = Compiler(FACTS)
RESOURCES = [json.loads(path.read_text("utf-8")) for path in examples()]
# Small ones break as well as big ones, and quicker.
SMALL = [r for r in RESOURCES if len(json.dumps(r)) < 20_000] or [{"resourceType": "Basic"}]

pytestmark = needs_shared


def errors(resource: dict[str, Any]) -> list[Issue]:
    return [issue for issue in VALIDATOR.validate(resource) if issue.severity == "error"]


def refused_at(resource: dict[str, Any], path: str) -> bool:
    """Whether there is an error at `path` or inside it."""
    places = [issue.expression or "" for issue in errors(resource)]
    return any(p == path or p.startswith((path + ".", path + "[")) for p in places)


@st.composite
def broken(
    draw: st.DrawFn, wanted: Callable[[Spot], list[str]]
) -> tuple[dict[str, Any], Spot, str]:
    """A copy of an example, one of its objects, and one of the properties `wanted` of it."""
    resource = copy.deepcopy(draw(st.sampled_from(SMALL)))
    found = [(spot, name) for spot in spots(COMPILER, resource) for name in wanted(spot)]
    if not found:
        return resource, Spot({}, "", COMPILER.node("Element"), ()), ""
    spot, name = draw(st.sampled_from(found))
    return resource, spot, name


def everything(spot: Spot) -> list[str]:
    return [key for key in spot.value if key != "resourceType"]


def lists(spot: Spot) -> list[str]:
    return [key for key, value in spot.value.items() if isinstance(value, list)]


def plain(spot: Spot) -> list[str]:
    """The properties whose name in FHIRPath is their name in JSON."""
    return [key for key in spot.node.elements if key in spot.value]


def required(spot: Spot) -> list[str]:
    return [name for name, sibling in spot.node.required if name in spot.value]


@given(broken(lambda _: [""]))
def test_unknown_property_is_refused_where_it_is(found: tuple[dict[str, Any], Spot, str]) -> None:
    resource, spot, _ = found
    spot.value["unheardOf"] = "x"
    assert refused_at(resource, spot.path + ".unheardOf")


@given(broken(required))
def test_missing_element_is_refused_by_its_name(found: tuple[dict[str, Any], Spot, str]) -> None:
    resource, spot, name = found
    if name:
        del spot.value[name]
        spot.value.pop("_" + name, None)
        assert refused_at(resource, f"{spot.path}.{name}")


@given(broken(lists))
def test_empty_array_is_refused(found: tuple[dict[str, Any], Spot, str]) -> None:
    resource, spot, name = found
    if name:
        spot.value[name] = []
        assert refused_at(resource, f"{spot.path}.{name.removeprefix('_')}")


@given(broken(plain), st.sampled_from([None, {}, [], [None], [[]], {"x": 1}, ""]))
def test_value_of_the_wrong_kind_is_refused(
    found: tuple[dict[str, Any], Spot, str], value: object
) -> None:
    resource, spot, name = found
    if name:
        spot.value[name] = value
        assert refused_at(resource, f"{spot.path}.{name}")


@given(broken(plain))
def test_list_for_one_and_one_for_a_list_are_refused(
    found: tuple[dict[str, Any], Spot, str],
) -> None:
    resource, spot, name = found
    if name:
        value = spot.value[name]
        spot.value[name] = value[0] if isinstance(value, list) else [value]
        assert refused_at(resource, f"{spot.path}.{name}")


@given(broken(plain))
def test_day_that_is_not_in_the_calendar_is_refused(
    found: tuple[dict[str, Any], Spot, str],
) -> None:
    resource, spot, name = found
    types = spot.node.elements[name][1].get("type", [""]) if name else [""]
    if types[0] in {"date", "dateTime", "instant"}:
        spot.value[name] = "2024-02-30" + ("T10:00:00Z" if types[0] != "date" else "")
        assert refused_at(resource, f"{spot.path}.{name}")
