"""Events that would cause themselves, found before the first one happens.

An event of our own that a file consumes makes a write, which makes events, which a file may
consume. In a circle that would never end, so a circle is a start-up error. What a write may cause
is taken from the files themselves: the events of every file on that kind of resource, and of its
routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fhir_server.mapping.model import MappingDeclaration

Causes = Mapping[str, frozenset[str]]


def circles(files: Mapping[str, MappingDeclaration]) -> Iterator[tuple[str, str, list[str]]]:
    """Each event that may cause itself: its file, its type, and the way back to it."""
    causes = {
        type_: _caused(file, files.values()) for file in files.values() for type_ in file.consumes
    }
    for name, file in files.items():
        for type_ in file.consumes:
            way = _way_back(type_, causes)
            if way:
                yield name, type_, way


def _caused(written: MappingDeclaration, files: Iterable[MappingDeclaration]) -> frozenset[str]:
    """The events that a write of that file's kind of resource may make."""
    alike = (file for file in files if _may_be_one(written, file))
    return frozenset(
        type_
        for file in alike
        for types in (file.events, *(route.events for route in file.routes.values()))
        for type_ in types
    )


def _may_be_one(one: MappingDeclaration, other: MappingDeclaration) -> bool:
    profiles = {one.profile, other.profile}
    return one.resource == other.resource and (len(profiles) == 1 or None in profiles)


def _way_back(start: str, causes: Causes) -> list[str]:
    """The shortest way from the event to itself; empty where there is none."""
    ways, seen = [[start]], set[str]()
    for way in ways:
        for next_ in sorted(causes.get(way[-1], ())):
            if next_ == start:
                return [*way, start]
            if next_ in causes and next_ not in seen:
                seen.add(next_)
                ways.append([*way, next_])
    return []
