"""_summary and _elements against a naive reading of the official definitions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fhir_server.definitions.extract import package
from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.subset import Mode, elements, is_subset, summary, unknown
from tests.support.official import examples, needs_shared

SHAPES = r4_shapes()
Json = dict[str, Any]
TAG = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}
needs_package = pytest.mark.skipif(
    not (package.cache_folder() / f"{package.SHA256}.tgz").exists(),
    reason="needs the official package: python -m fhir_server.definitions.generate --check",
)


@cache
def official() -> Mapping[str, Mapping[str, Json]]:
    """Type → path → the element of the official snapshot."""
    base = "http://hl7.org/fhir/StructureDefinition/"
    return {
        resource["type"]: {e["path"]: e for e in resource["snapshot"]["element"]}
        for (kind, url), resource in package.load().items()
        if kind == "StructureDefinition" and url == base + resource["type"]
    }


def element(path: str, key: str) -> tuple[str, Json, str]:
    """(path, element, type) of a JSON property below `path`."""
    listed = official()[path.partition(".")[0]]
    plain = f"{path}.{key}"
    if plain in listed:
        found = listed[plain]
        return plain, found, found["type"][0]["code"] if "type" in found else ""
    for choice, found in listed.items():
        stem = choice.removesuffix("[x]")
        if choice != stem and plain.startswith(stem):
            for type_ in found["type"]:
                if plain == stem + type_["code"][0].upper() + type_["code"][1:]:
                    return choice, found, type_["code"]
    raise AssertionError(plain)


def below(path: str, found: Json, type_: str) -> str:
    """Where the children of an element are defined."""
    if "contentReference" in found:
        return str(found["contentReference"][1:])
    return path if type_ in {"BackboneElement", "Element"} else type_


def naive(tree: Json, path: str) -> Json:
    """What isSummary and min leave, by the official tables alone."""
    listed = official()[path.partition(".")[0]]
    if not any(e.get("isSummary") for p, e in listed.items() if p.startswith(path + ".")):
        return tree
    kept: Json = {}
    for key, value in tree.items():
        if key == "resourceType":
            kept[key] = value
            continue
        where, found, type_ = element(path, key.removeprefix("_"))
        if not (found.get("isSummary") or found["min"]):
            continue
        left = part(value, where, found, type_)
        if left not in ({}, []):
            kept[key] = left
    return kept


def part(value: Any, where: str, found: Json, type_: str) -> Any:
    if isinstance(value, list):
        parts = [part(item, where, found, type_) for item in value]
        return [item for item in parts if item != {}]
    if not isinstance(value, dict) or (type_ and type_[0].islower()):
        return value
    return naive(
        value, value["resourceType"] if type_ == "Resource" else below(where, found, type_)
    )


def untagged(resource: Json) -> Json:
    """Without the mark, which must be there."""
    *others, last = resource["meta"]["tag"]
    assert last == TAG
    meta = {**resource["meta"], "tag": others}
    meta = {key: value for key, value in meta.items() if value}
    rest = {key: value for key, value in resource.items() if key != "meta"}
    return {**rest, "meta": meta} if meta else rest


@needs_shared
@needs_package
@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_a_summary_is_what_the_definitions_mark(path: Path) -> None:
    resource = json.loads(path.read_text("utf-8"))
    found = summary(resource, "true", SHAPES)
    assert untagged(found) == naive(resource, resource["resourceType"])


@needs_shared
@needs_package
@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_text_data_and_elements_of_an_example(path: Path) -> None:
    resource = json.loads(path.read_text("utf-8"))
    type_ = resource["resourceType"]
    must = {key for key in resource if key != "resourceType" and key in mandatory(type_)}
    always = {"resourceType", "id", "meta"} | must
    cases: list[tuple[Json, set[str]]] = [
        (summary(resource, "text", SHAPES), always | {"text"}),
        (summary(resource, "data", SHAPES), set(resource) - {"text"}),
        (
            elements(resource, {"status": {}, "identifier": {}}, SHAPES),
            always | {"status", "identifier"},
        ),
    ]
    for found, names in cases:
        expected = {key: value for key, value in resource.items() if key.removeprefix("_") in names}
        assert untagged(found) == expected


def mandatory(type_: str) -> set[str]:
    return {
        p.partition(".")[2] for p, e in official()[type_].items() if e["min"] and p.count(".") == 1
    }


PATIENT: Json = {
    "resourceType": "Patient",
    "id": "p",
    "text": {"status": "empty", "div": "<div/>"},
    "active": False,
    "name": [{"family": "Z", "given": ["A"], "_given": [{"id": "g"}]}, {"text": "B"}],
    "birthDate": "2000",
    "_birthDate": {"id": "b"},
    "multipleBirthInteger": 0,
    "link": [{"other": {"reference": "Patient/x"}, "type": "refer"}],
}


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({}, {}),
        ({"active": {}}, {"active": False}),
        ({"name": {"given": {}}}, {"name": [{"given": ["A"], "_given": [{"id": "g"}]}]}),
        ({"birthDate": {}}, {"birthDate": "2000", "_birthDate": {"id": "b"}}),
        ({"multipleBirth": {}}, {"multipleBirthInteger": 0}),
        ({"multipleBirth[x]": {}}, {"multipleBirthInteger": 0}),
        ({"multipleBirthInteger": {}}, {"multipleBirthInteger": 0}),
        (
            {"link": {"type": {}}},
            {"link": [{"other": {"reference": "Patient/x"}, "type": "refer"}]},
        ),
    ],
)
def test_elements_within_elements(wanted: Json, left: Json) -> None:
    found = elements(PATIENT, wanted, SHAPES)
    assert untagged(found) == {"resourceType": "Patient", "id": "p", **left}
    assert list(found)[:3] == ["resourceType", "id", "meta"]


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        ({"name": {}, "id": {}, "extension": {}}, None),
        ({"nme": {}}, "nme"),
        ({"name": {"family": {}, "middle": {}}}, "name.middle"),
        ({"birthDate": {"x": {}}}, "birthDate.x"),
        ({"": {}}, ""),
        ({"contact": {"name": {"family": {"x": {}}}}}, "contact.name.family.x"),
    ],
)
def test_names_that_are_none(wanted: Json, wrong: str | None) -> None:
    assert unknown(wanted, SHAPES.shape("Patient"), SHAPES) == wrong


@pytest.mark.parametrize("mode", ["true", "text", "data"])
def test_it_is_marked_once_and_the_original_is_left_alone(mode: Mode) -> None:
    before = json.dumps(PATIENT)
    once = summary(PATIENT, mode, SHAPES)
    assert summary(once, mode, SHAPES) == once
    assert is_subset(once)
    assert not is_subset(PATIENT)
    assert json.dumps(PATIENT) == before


def test_an_extension_is_not_emptied() -> None:
    extension = {"url": "http://x", "valueString": "y"}
    resource: Json = {
        "resourceType": "Patient",
        "link": [
            {"modifierExtension": [extension], "other": {"display": "o"}, "type": "refer"},
        ],
    }
    assert untagged(summary(resource, "true", SHAPES)) == resource
