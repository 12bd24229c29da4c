"""A route of the v1 API, compiled: what it checks, which FHIR interaction it is, what it gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.answer import Answered
from fhir_server.mapping.body import Body
from fhir_server.mapping.codec import Refused
from fhir_server.mapping.field import Field
from fhir_server.mapping.inputs import Inputs, Supply
from fhir_server.mapping.model import RouteDeclaration
from fhir_server.mapping.query import Criteria, Query
from fhir_server.problems import Problem, not_found

Resource = dict[str, Any]
Write = Callable[[Resource, Inputs], None]


@dataclass(frozen=True, slots=True)
class Route:
    """`resource` is the type that the interaction is on and `written` the type of what it sends
    (Parameters for an operation); `addressed` the path parameter that names one resource.

    `at` is the id of the one resource that the route means, where the path names none.
    `segments` are the path parameters' fields in order. `requires` are criteria that the addressed
    resource must meet; it is of type `owner` and of the profile `kind`. `described` are the fields
    of its content (`file`, `name` …), `expects` the FHIR values it must have for its bytes to move.
    """

    method: str
    prefix: str
    template: str
    interaction: str
    declared: RouteDeclaration
    file: str
    resource: str
    written: str
    segments: Mapping[str, Field]
    addressed: str | None
    at: str | None
    owner: str
    kind: str | None
    body: Body | None
    query: Query | None
    writes: tuple[Write, ...]
    answered: Answered
    requires: Criteria
    fields: Mapping[str, Field]
    described: Mapping[str, Field]
    expects: tuple[tuple[Field, Any], ...]

    @property
    def id(self) -> str:
        return self.declared.id

    @property
    def address(self) -> str:
        """Its path: `/v1/communication/threads/{threadId}`."""
        return self.prefix + self.template

    @property
    def noun(self) -> str:
        """What v1 calls the addressed resource: `thread` for `{threadId}`."""
        return self.at or (self.addressed or "").removesuffix("Id")

    def reference(self, path: Mapping[str, str]) -> str | None:
        """`Type/id` of the addressed resource; `path` as references."""
        if self.at:
            return f"{self.resource}/{self.at}"
        return path[self.addressed] if self.addressed else None

    def path(self, given: Mapping[str, str]) -> dict[str, str]:
        """References by path parameter; Problem 400 for what is no id of that kind."""
        found = {}
        for name, field in self.segments.items():
            try:
                found[name] = _reference(field, given[name], self.resource)
            except Refused as refused:
                raise Problem(400, "invalid", f"{name} {refused}", expression=name) from None
        return found

    def write(self, resource: Resource, inputs: Inputs) -> Resource:
        """The resource with everything that the route sets."""
        for write in self.writes:
            write(resource, inputs)
        return resource


def _reference(field: Field, given: str, resource: str) -> str:
    raw = str(field.encode(given))
    return raw if "/" in raw else f"{resource}/{raw}"


def setter(field: Field, supply: Supply) -> Write:
    """Writes what `supply` gives; nothing where it gives None."""
    merge = field.optic.merge

    def write(resource: Resource, inputs: Inputs) -> None:
        value = supply(inputs)
        if value is not None:
            merge(resource, value)

    return write


def taker(field: Field, default: Supply | None) -> Write:
    """Writes what the body has for the field, or its default."""
    merge, name = field.optic.merge, field.name

    def write(resource: Resource, inputs: Inputs) -> None:
        value = inputs.body.get(name)
        if value is None and default is not None:
            value = default(inputs)
        if value is not None and value != []:
            merge(resource, value)

    return write


def replacer(field: Field) -> Write:
    """Writes what the body has for the field, and clears it where there is nothing."""
    merge, clear, name = field.optic.merge, field.optic.clear, field.name

    def write(resource: Resource, inputs: Inputs) -> None:
        value = inputs.body.get(name)
        if value is None or value == []:
            clear(resource)
        else:
            merge(resource, value)

    return write


def joiner(field: Field, supply: Supply) -> Write:
    """Adds to a list what `supply` gives, as far as it is not there."""
    read, merge = field.optic.raw, field.optic.merge

    def write(resource: Resource, inputs: Inputs) -> None:
        there = read(resource) or []
        merge(resource, [*there, *(one for one in _several(supply(inputs)) if one not in there)])

    return write


def remover(field: Field, supply: Supply) -> Write:
    """Takes from a list what `supply` gives; Problem 404 where it is not there."""
    read, merge = field.optic.raw, field.optic.merge

    def write(resource: Resource, inputs: Inputs) -> None:
        there, gone = read(resource) or [], _several(supply(inputs))
        if any(one not in there for one in gone):
            raise not_found(f"one of {field.name}")
        merge(resource, [one for one in there if one not in gone])

    return write


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


PARAMETER = re.compile(r"\{(\w+)\}")
