"""The CapabilityStatement as the server serves it, and questions that try what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import orjson

from fhir_server.declared import declared_root
from fhir_server.definitions.facts import Facts, load_facts

Json = dict[str, Any]
# A value that every parameter of the type takes.
VALUES: Mapping[str, str] = {
    "token": "true",
    "date": "2026-01-31",
    "number": "1",
    "quantity": "1",
    "reference": "Patient/x",
    "string": "x",
    "uri": "https://example.org/x",
}
# And what those take that have a form of their own.
SPECIAL: Mapping[str, str] = {
    "_filter": "_id eq x",
    "_query": "x",
    "near": "1|1|1|km",
}


@cache
def facts() -> Facts:
    return load_facts()


def declared() -> Json:
    """The statement's file, for what a test is parametrized by."""
    found: Json = orjson.loads(
        (declared_root() / "capability/CapabilityStatement.json").read_bytes()
    )
    return found


def types_of(statement: Json) -> dict[str, Json]:
    """What it says of each type."""
    return {resource["type"]: resource for resource in statement["rest"][0]["resource"]}


def codes(listed: Any) -> set[str]:
    """The `code` of each."""
    return {each["code"] for each in listed or ()}


def names(listed: Any) -> set[str]:
    """The `name` of each."""
    return {each["name"] for each in listed or ()}


def official(type: str) -> Mapping[str, Json]:
    """R4's search parameters of the type, those of every resource included."""
    return facts().search_parameters[type]


def value_of(name: str, kind: str, components: Any = (), type: str = "") -> str:
    """A value that the parameter takes."""
    if name in SPECIAL:
        return SPECIAL[name]
    if kind == "composite":
        return "$".join(_component(type, one) for one in components)
    return VALUES.get(kind, "x")


def _component(type: str, component: Mapping[str, str]) -> str:
    url = component["definition"]
    kinds = (p["type"] for p in official(type).values() if p["url"] == url)
    return VALUES[next(kinds, "token")]


def chunks(listed: list[str], size: int) -> Iterator[list[str]]:
    """So many at a time."""
    for at in range(0, len(listed), size):
        yield listed[at : at + size]
