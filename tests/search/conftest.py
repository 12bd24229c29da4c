"""A store on a fresh database, with parameters of kinds that no R4 type here has, and a code system
with a hierarchy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fhir_server.definitions.model import Component, Definitions, SearchParameter, ServedType
from tests.search.bench import Bench

NUMBER = SearchParameter("length-value", "number", "Encounter.length.value")
COMPOSITES = {
    "Communication": SearchParameter(
        "status-uri",
        "composite",
        "Communication",
        components=(Component("token", "status"), Component("uri", "instantiatesUri")),
    ),
    "Encounter": SearchParameter(
        "place-when",
        "composite",
        "Encounter.location",
        components=(Component("reference", "location", ("Location",)), Component("date", "period")),
    ),
    "Patient": SearchParameter(
        "whole-name",
        "composite",
        "Patient.name",
        components=(Component("string", "family"), Component("string", "given")),
    ),
    "Group": SearchParameter(
        "characteristic-quantity",
        "composite",
        "Group.characteristic",
        components=(Component("token", "code"), Component("quantity", "value.as(Quantity)")),
    ),
}
HIERARCHY: Mapping[str, Any] = {
    "resourceType": "CodeSystem",
    "url": "http://a",
    "status": "active",
    "content": "complete",
    "concept": [
        {"code": "x", "concept": [{"code": "y", "concept": [{"code": "x|y"}]}]},
        {"code": "X"},
    ],
}
VALUE_SETS: Mapping[str, Mapping[str, Any]] = {
    "http://vs/a": {
        "resourceType": "ValueSet",
        "id": "a",
        "url": "http://vs/a",
        "status": "active",
        "compose": {"include": [{"system": "http://a", "concept": [{"code": "x"}, {"code": "X"}]}]},
    },
    "http://vs/b": {
        "resourceType": "ValueSet",
        "id": "b",
        "url": "http://vs/b",
        "status": "active",
        "compose": {"include": [{"system": "http://b", "concept": [{"code": "y"}]}]},
    },
}


@pytest.fixture(scope="session")
def definitions(definitions: Definitions) -> Definitions:
    types = {name: _with(served) for name, served in definitions.types.items()}
    listed = {**definitions.resources["ValueSet"], **{v["id"]: v for v in VALUE_SETS.values()}}
    return replace(
        definitions,
        types=types,
        code_systems={**definitions.code_systems, HIERARCHY["url"]: HIERARCHY},
        value_sets={**definitions.value_sets, **VALUE_SETS},
        resources={**definitions.resources, "ValueSet": listed},
    )


def _with(served: ServedType) -> ServedType:
    more = [COMPOSITES[served.name]] if served.name in COMPOSITES else []
    more += [NUMBER] if served.name == "Encounter" else []
    return replace(served, search={**served.search, **{p.code: p for p in more}})


@pytest.fixture
async def bench(database_url: str, definitions: Definitions) -> AsyncIterator[Bench]:
    async with Bench.on(database_url, definitions) as bench:
        yield bench
