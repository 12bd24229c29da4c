"""The lens laws, for every field of every file of mappings/."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.loader import load_definitions
from fhir_server.fhir.instant import now_text
from fhir_server.mapping.codec import MISSING
from fhir_server.mapping.field import Field
from fhir_server.mapping.loader import load_mappings
from tests.support.effort import effort

FACTS = load_facts()
MAPPINGS = load_mappings(
    declared_root() / "mappings", load_definitions(declared_root(), FACTS), FACTS.structures
)
# These lie in one Reference with another field, which is one value; nothing ever writes them.
READ_ONLY = ("clientId",)


def places(fields: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Its fields, one for each place: of those that a request has `either` of, one is there."""
    found = {declared[name].path: name for name in reversed(list(fields)) if fields[name].steps}
    kept = {*found.values()} - {*READ_ONLY}
    return {name: field for name, field in fields.items() if name in kept}


FILES = {name: places(file.fields, file.declared.fields) for name, file in MAPPINGS.files.items()}
POINTERS = {"reference", "url"}
OLDEST = datetime(1900, 1, 1, tzinfo=UTC).replace(tzinfo=None)
LETTERS = st.characters(min_codepoint=32, exclude_categories=["Cs"])
IDS = st.text("aZ9-.", min_size=1, max_size=9)


def values(  # noqa: C901, PLR0911 - one return for each kind of schema
    schema: Mapping[str, Any], key: str | None = None, least: int = 1
) -> st.SearchStrategy[Any]:
    """The v1 values that a field's own JSON Schema describes."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "pattern" in schema:
        return st.builds(str.__add__, st.sampled_from(beginnings(schema["pattern"])), IDS)
    match schema["type"], schema.get("format"):
        case "string", "date-time":
            return st.datetimes(timezones=st.just(UTC), min_value=OLDEST).map(now_text)
        case "string", "date":
            return st.dates(min_value=OLDEST.date()).map(str)
        case "string", _:
            return st.text(LETTERS, min_size=1, max_size=9).filter(lambda text: not text.isspace())
        case "integer", _:
            return st.integers(0, 2**31 - 1)
        case "number", _:
            return st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9)
        case "boolean", _:
            return st.booleans()
        case "array", _:
            return st.lists(
                values(schema["items"]),
                min_size=least,
                max_size=3,
                unique_by=lambda item: item[key] if key else orjson.dumps(item),
            )
        case "object", _:
            members = {n: values(s, least=0) for n, s in schema["properties"].items()}
            return st.fixed_dictionaries(members)
    raise AssertionError(schema)


def beginnings(pattern: str) -> list[str]:
    """What an id of that pattern begins with: prefixes, or types of a whole reference."""
    if pattern.startswith("^([A-Z]"):
        return ["Patient/", "Encounter/"]
    return pattern.partition(")")[0].removeprefix("^(").split("|")


def of(field: Field) -> st.SearchStrategy[Any]:
    return values(field.schema, field.declared.key)


@st.composite
def objects(draw: st.DrawFn, file: str) -> dict[str, Any]:
    """v1 values for some of the fields of a file."""
    fields = FILES[file]
    chosen = draw(st.sets(st.sampled_from(sorted(fields))))
    return {name: draw(of(fields[name])) for name in sorted(chosen)}


@st.composite
def resources(draw: st.DrawFn, file: str) -> tuple[dict[str, Any], list[int]]:
    """A resource with much in it that v1 does not know, and the marks that must survive."""
    resource: dict[str, Any] = {"resourceType": MAPPINGS.files[file].declared.resource}
    for name, value in draw(objects(file)).items():
        FILES[file][name].put(resource, FILES[file][name].encode(value))
    marks: list[int] = []
    _sprinkle(draw, resource, marks, counter := iter(range(10_000)), kept=True)
    absent = [
        n for f in FILES[file].values() if (n := f.element) not in resource and f.steps[0].many
    ]
    for name in draw(st.sets(st.sampled_from(absent))) if absent else ():
        marks.append(next(counter))
        resource[name] = [{"unknown": marks[-1]}]
    return resource, marks


def _sprinkle(draw: st.DrawFn, node: Any, marks: list[int], counter: Any, *, kept: bool) -> None:
    """Adds unknown elements; those not inside a pointer or an entry v1 owns are `kept`."""
    if isinstance(node, list):
        for entry in node:
            _sprinkle(draw, entry, marks, counter, kept=False)
        if node and isinstance(node[0], dict):
            for _ in range(draw(st.integers(0, 2))):
                mark = next(counter)
                node.insert(draw(st.integers(0, len(node))), {"unknown": mark})
                marks += [mark] if kept else []
    elif isinstance(node, dict):
        pointer = bool(POINTERS & set(node))
        for child in list(node.values()):
            _sprinkle(draw, child, marks, counter, kept=kept and not pointer)
        if draw(st.booleans()):
            mark = next(counter)
            node["unknown"] = mark
            marks += [mark] if kept and not pointer else []


def _marks(node: Any) -> list[int]:
    if isinstance(node, list):
        return [mark for entry in node for mark in _marks(entry)]
    if isinstance(node, dict):
        own = [node["unknown"]] if "unknown" in node else []
        return [*own, *(mark for n, v in node.items() if n != "unknown" for mark in _marks(v))]
    return []


def _read(file: str, resource: dict[str, Any]) -> dict[str, Any]:
    read = {name: field.get(resource) for name, field in FILES[file].items()}
    return {name: value for name, value in read.items() if value is not MISSING}


def _write(file: str, resource: dict[str, Any], written: dict[str, Any]) -> None:
    for name, value in written.items():
        FILES[file][name].put(resource, FILES[file][name].encode(value))


every_file = pytest.mark.parametrize("file", sorted(FILES))
slow_data = settings(
    max_examples=effort(40),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@every_file
@slow_data
@given(data=st.data())
def test_read_after_write_gives_what_was_written(file: str, data: st.DataObject) -> None:
    resource, _ = data.draw(resources(file))
    written = data.draw(objects(file))
    before = _read(file, resource)
    _write(file, resource, written)
    assert _read(file, resource) == {**before, **written}


@every_file
@slow_data
@given(data=st.data())
def test_writing_what_was_read_changes_nothing(file: str, data: st.DataObject) -> None:
    resource, _ = data.draw(resources(file))
    before = copy.deepcopy(resource)
    _write(file, resource, _read(file, resource))
    assert resource == before


@every_file
@slow_data
@given(data=st.data())
def test_writing_twice_is_writing_once(file: str, data: st.DataObject) -> None:
    resource, _ = data.draw(resources(file))
    written = data.draw(objects(file))
    _write(file, resource, written)
    once = copy.deepcopy(resource)
    _write(file, resource, written)
    assert resource == once


@every_file
@slow_data
@given(data=st.data())
def test_unknown_elements_survive_an_update(file: str, data: st.DataObject) -> None:
    resource, marks = data.draw(resources(file))
    _write(file, resource, data.draw(objects(file)))
    assert set(marks) <= set(_marks(resource))


@every_file
@slow_data
@given(data=st.data())
def test_removing_leaves_the_unknown_and_the_other_fields(file: str, data: st.DataObject) -> None:
    resource, marks = data.draw(resources(file))
    removed = data.draw(st.sampled_from(sorted(FILES[file])))
    before = _read(file, resource)
    FILES[file][removed].put(resource, None)
    before.pop(removed, None)
    assert _read(file, resource) == before
    assert set(marks) <= set(_marks(resource))
