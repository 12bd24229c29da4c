"""Events that are taken in, compiled: each is one FHIR interaction, written in a route's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.body import Body
from fhir_server.mapping.compiler import RouteCompiler
from fhir_server.mapping.faults import Faults
from fhir_server.mapping.inputs import Inputs, escaped, supply
from fhir_server.mapping.model import (
    ConsumeDeclaration,
    EventsDeclaration,
    RouteDeclaration,
)
from fhir_server.mapping.query import Criteria
from fhir_server.mapping.route import Resource, Write, taker
from fhir_server.mapping.searches import SearchNames
from fhir_server.problems import Problem


@dataclass(frozen=True, slots=True)
class Consumed:
    """What one type of event is here, on resources of type `resource`; `subjects` are where it
    comes from."""

    declared: ConsumeDeclaration
    subjects: tuple[str, ...]
    resource: str
    body: Body
    writes: tuple[Write, ...]
    once: Criteria

    def concerns(self, data: Mapping[str, Any]) -> bool:
        """Whether its data is what `when` says."""
        return all(data.get(name) == value for name, value in self.declared.when.items())

    def values(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """FHIR values by field; Problem 400 names what is missing or wrong."""
        found = self.body.parse({name: data[name] for name in data if name in self.body.taken})
        id = self.declared.id
        if id is not None and "/" in str(found[id]):
            raise Problem(400, "invalid", f"{id} names another type")
        return found

    def write(self, resource: Resource, inputs: Inputs) -> Resource:
        """The resource with all that the event says; what it does not say stays."""
        for write in self.writes:
            write(resource, inputs)
        return resource

    def criteria(self, inputs: Inputs) -> list[tuple[str, str]]:
        """The search that finds what a create made already."""
        return [(name, escaped(str(value(inputs)))) for name, value in self.once]


def compile_consumed(compiler: RouteCompiler, faults: Faults) -> dict[str, Consumed]:
    """The lines of one file; what is wrong goes to `faults`."""
    found = {
        type_: _consumed(compiler, type_, line, faults.at(type_))
        for type_, line in compiler.declared.consumes.items()
    }
    return {type_: one for type_, one in found.items() if one}


def _consumed(
    compiler: RouteCompiler, type_: str, line: ConsumeDeclaration, faults: Faults
) -> Consumed | None:
    route = _as_route(line)
    body = compiler.body(route, faults)
    if body is None:
        return None
    compiler.check_required(route, body, faults)
    if line.id is not None and (line.id not in body.taken or not body.taken[line.id].required):
        faults.at("id").add(f"{line.id} must be a field that `takes` requires")
    resource = compiler.declared.resource
    # A field is written where the event has it; `set` as in a route.
    taken = [taker(one.field, None) for name, one in body.taken.items() if name != line.id]
    given = compiler.writes(route, Body({}, {}), (), faults) if line.set else []
    once = tuple(_criteria(compiler, line, body, faults.at("once")))
    subjects = _subjects(compiler.service.events, type_, line, faults.at("subjects"))
    return Consumed(line, subjects, resource, body, (*taken, *given), once)


def _subjects(
    events: EventsDeclaration, type_: str, line: ConsumeDeclaration, faults: Faults
) -> tuple[str, ...]:
    if not events.own(type_):
        if not line.subjects:
            faults.add("name the NATS subjects that another service's event comes from")
        return line.subjects
    if line.subjects:
        faults.add("our own event comes from where it is published; name no subjects")
    return (events.place(type_),)


def _as_route(line: ConsumeDeclaration) -> RouteDeclaration:
    return RouteDeclaration(
        id="",
        summary="",
        scope="",
        module=None,
        does=line.does,
        takes=line.takes,
        set=line.set,
        gives={},
    )


def _criteria(
    compiler: RouteCompiler, line: ConsumeDeclaration, body: Body, faults: Faults
) -> Iterator[Any]:
    names = SearchNames(compiler.definitions.types)
    once = line.once or {}
    names.check(compiler.declared.resource, once.items(), faults)
    for name, words in once.items():
        value = supply(words, (), body.taken, faults.at(name))
        if value is not None:
            yield name, value
