"""Walks a resource as R4 defines it, so that tests can break it at a known place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from fhir_server.validation.fields import title
from fhir_server.validation.primitives import TESTS
from fhir_server.validation.structure import Compiler, Node


class Spot(NamedTuple):
    """An object inside a resource: itself, its FHIRPath, its type, and the steps to it."""

    value: dict[str, Any]
    path: str
    node: Node
    steps: tuple[str | int, ...]


def spots(compiler: Compiler, resource: dict[str, Any]) -> list[Spot]:
    """Every object of a valid resource, itself first; the insides of primitives apart."""
    name = resource["resourceType"]
    return list(_walk(compiler, Spot(resource, name, compiler.node(name), ())))


def _walk(compiler: Compiler, spot: Spot) -> Iterator[Spot]:
    yield spot
    for name, (path, facts) in spot.node.elements.items():
        for key, label, type_name in _keys(name, path, facts, spot.node):
            if key in spot.value and type_name not in TESTS:
                for inner in _items(spot, key, label):
                    yield from _walk(compiler, _typed(compiler, inner, type_name))


def _keys(
    name: str, path: str, facts: dict[str, Any], node: Node
) -> Iterator[tuple[str, str, str]]:
    """(property, label, type) of each form of an element."""
    if "content" in facts:
        yield name, name, facts["content"]
    elif name.endswith("[x]"):
        stem = name[:-3]
        for type_name in facts["type"]:
            yield stem + title(type_name), f"{stem}.ofType({type_name})", type_name
    else:
        yield name, name, node.inner(path, facts["type"][0])


def _items(spot: Spot, key: str, label: str) -> Iterator[Spot]:
    value = spot.value[key]
    if isinstance(value, dict):
        yield Spot(value, f"{spot.path}.{label}", spot.node, (*spot.steps, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield Spot(item, f"{spot.path}.{label}[{at}]", spot.node, (*spot.steps, key, at))


def _typed(compiler: Compiler, spot: Spot, type_name: str) -> Spot:
    if type_name == "Resource":
        type_name = spot.value["resourceType"]
    return spot._replace(node=compiler.node(type_name))
