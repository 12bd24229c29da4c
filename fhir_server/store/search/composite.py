"""Composite parameters: `code$value`, both of the same element.

https://hl7.org/fhir/R4/search.html#combining
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from fhir_server.definitions.model import Component, SearchParameter
from fhir_server.store.composites import by_keys, key_text
from fhir_server.store.keys import combined, name_part, value_key
from fhir_server.store.search.asking import Asking, NotSupported, bad_value
from fhir_server.store.search.coded import token_form
from fhir_server.store.search.compared import date_wanted, number_wanted, string_wanted
from fhir_server.store.search.equal import pointed_at
from fhir_server.store.search.literals import split, unescaped
from fhir_server.store.search.node import Node, any_of, keys

# Of all values of one request's parameter; a bare id may be that of many types.
MOST_COMBINATIONS = 10_000
# A comparison, and the values that it binds.
Wanted = tuple[str, tuple[Any, ...]]


def composite(
    asking: Asking,
    _resource_type: str,
    parameter: SearchParameter,
    modifier: str,
    values: list[str],
) -> Node:
    """One value for each part, joined by `$`."""
    if modifier:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    asked = [_parts(parameter, value) for value in values]
    if by_keys(parameter):
        return _keys(asking, parameter, asked)
    return _rows(asking, parameter, asked)


def _parts(parameter: SearchParameter, text: str) -> list[str]:
    parts = split(text, "$")
    if len(parts) != len(parameter.components) or not all(parts):
        asked = "$".join(component.type for component in parameter.components)
        bad_value(parameter.code, f"asks for {asked}")
    return parts


def _keys(asking: Asking, parameter: SearchParameter, asked: list[list[str]]) -> Node:
    wanted = [
        value_key(asking.tenant, parameter.code, combined(forms))
        for parts in asked
        for forms in _combinations(parameter, [
            list(_forms(asking, parameter, component, text))
            for component, text in zip(parameter.components, parts, strict=True)
        ])
    ]  # fmt: skip
    _bounded(parameter, wanted)
    return keys(wanted)


def _rows(asking: Asking, parameter: SearchParameter, asked: list[list[str]]) -> Node:
    """One node for each way to compare; several values of one way as arrays."""
    groups: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for parts in asked:
        wanted = [list(_wanted(asking, parameter, n, text)) for n, text in enumerate(parts)]
        for one in _combinations(parameter, wanted):
            bounds = tuple(value for _, values in one for value in values)
            groups.setdefault(tuple(comparison for comparison, _ in one), []).append(bounds)
    _bounded(parameter, [bounds for group in groups.values() for bounds in group])
    return any_of([_group(parameter.code, *group) for group in sorted(groups.items())])


def _group(code: str, comparisons: tuple[str, ...], bounds: list[tuple[Any, ...]]) -> Node:
    if len(bounds) == 1:
        return Node(("composite", code, comparisons, False), bounds[0])
    arrays = tuple(map(list, zip(*bounds, strict=True)))
    return Node(("composite", code, comparisons, True), arrays)


def _combinations(parameter: SearchParameter, wanted: list[list[Any]]) -> Iterator[tuple[Any, ...]]:
    count = 1
    for part in wanted:
        count *= len(part)
    _bounded(parameter, range(count))
    return product(*wanted)


def _bounded(parameter: SearchParameter, wanted: Any) -> None:
    if len(wanted) > MOST_COMBINATIONS:
        bad_value(parameter.code, f"more than {MOST_COMBINATIONS} combinations")


def _forms(
    asking: Asking, parameter: SearchParameter, component: Component, text: str
) -> Iterator[str]:
    """What an equality part asks for, as the indexer wrote it."""
    if component.type == "reference":
        yield from pointed_at(asking, list(component.targets), unescaped(text))
    elif component.type == "token":
        yield token_form(parameter.code, text)
    else:
        yield unescaped(text)


def _wanted(asking: Asking, parameter: SearchParameter, number: int, text: str) -> Iterator[Wanted]:
    component = parameter.components[number]
    part = replace(parameter, type=component.type)
    if component.type == "string":
        yield string_wanted(part, "starts", [unescaped(text)])[0]
    elif component.type == "date":
        yield date_wanted(asking, part.code, text)
    elif component.type in {"number", "quantity"}:
        yield number_wanted(part, text)
    else:
        name = name_part(parameter.code, number)
        for form in _forms(asking, parameter, component, text):
            yield "key", (key_text(value_key(asking.tenant, name, form)),)
