"""What is known here of code systems, value sets and concept maps.

https://hl7.org/fhir/R4/terminology-module.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fhir_server.definitions.facts import Facts
from fhir_server.definitions.model import Definitions
from fhir_server.problems import Problem
from fhir_server.validation.terminology import Pair, Terminology, Unlistable

Json = Mapping[str, Any]

R4 = "4.0.1"
MOST_PARTS = 100


class Elsewhere(Exception):
    """What was asked about is not known here; a terminology server may know it. The words do not
    repeat the address, which is the asker's."""


@dataclass(frozen=True, slots=True)
class System:
    """A code system with all its codes: code → CodeSystem.concept."""

    url: str
    name: str
    version: str | None
    concepts: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Members:
    """The codes of a value set in order, with the displays that it gives them itself."""

    pairs: Sequence[Pair]
    own: Mapping[Pair, str] = field(default_factory=dict)


class Library:
    """Declared definitions first, then those that R4 carries."""

    def __init__(self, facts: Facts, definitions: Definitions) -> None:
        self._facts = facts
        self._read: dict[str, System] = {}
        self.value_sets = definitions.value_sets
        self.code_systems = definitions.code_systems
        self.maps = tuple(definitions.resources.get("ConceptMap", {}).values())
        self._terminology = Terminology(
            facts,
            [dict(one) for one in self.value_sets.values()],
            [dict(one) for one in self.code_systems.values()],
        )

    def system(self, url: str, version: str | None = None) -> System:
        """The whole code system; Elsewhere where it, or that version of it, is not known."""
        url, _, told = url.partition("|")
        found = self._system(url)
        if (version or told or found.version) != found.version:
            raise Elsewhere("that version of the code system")
        return found

    def _system(self, url: str) -> System:
        found = self._read.get(url)
        if found is None:
            found = self._read[url] = self._opened(url)
        return found

    def _opened(self, url: str) -> System:
        declared = self.code_systems.get(url)
        if declared is not None:
            return system_of(declared)
        found = self._facts.code_systems.get(url)
        if found is None:
            raise Elsewhere("that code system")
        concepts = {
            code: {"code": code, "display": text} for code, text in found["concepts"].items()
        }
        return System(url, found["name"], found.get("version"), concepts)

    @cached_property
    def systems(self) -> Sequence[System]:
        """All that are known."""
        urls = [*self.code_systems, *self._facts.code_systems]
        return [self._system(url) for url in dict.fromkeys(urls)]

    def value_set(self, url: str, version: str | None = None) -> tuple[Json, Members]:
        """A value set and its codes."""
        url, _, told = url.partition("|")
        declared, wanted = self.value_sets.get(url), version or told
        if declared is not None:
            if wanted and wanted != declared.get("version"):
                raise Elsewhere("that version of the value set")
            return declared, self.members(declared)
        pairs = self._terminology.listed(url)
        if pairs is None or wanted not in ("", None, R4):
            raise Elsewhere("that value set")
        return {"resourceType": "ValueSet", "url": url, "status": "unknown"}, Members(pairs)

    def members(self, value_set: Json) -> Members:
        """The codes of a value set that is given whole."""
        if _parts(value_set) > MOST_PARTS:
            raise Problem(400, "too-costly", f"a value set of more than {MOST_PARTS} parts")
        try:
            pairs = self._terminology.composed(dict(value_set))
        except Unlistable:
            raise Elsewhere("a part of the value set") from None
        return Members(pairs, dict(_own(value_set)))

    def display(self, pair: Pair, members: Members | None = None) -> str | None:
        """What the value set, or else the code system, calls a code."""
        if members is not None and pair in members.own:
            return members.own[pair]
        try:
            concept = self._system(pair[0]).concepts.get(pair[1], {})
        except Elsewhere:
            return None
        display: str | None = concept.get("display")
        return display


def system_of(resource: Json) -> System:
    """A CodeSystem resource, flattened."""
    concepts = {concept["code"]: concept for concept in _all(resource.get("concept", ()))}
    name = resource.get("name") or resource.get("title") or resource.get("url", "")
    return System(resource.get("url", ""), name, resource.get("version"), concepts)


def _parts(value_set: Json) -> int:
    """How many lists its definition is put together from."""
    compose = value_set.get("compose", {})
    parts = [*compose.get("include", ()), *compose.get("exclude", ())]
    return sum(1 + len(part.get("valueSet", ())) for part in parts)


def _all(concepts: Iterable[Json]) -> Iterator[Json]:
    for concept in concepts:
        yield concept
        yield from _all(concept.get("concept", ()))


def _own(value_set: Json) -> Iterator[tuple[Pair, str]]:
    for include in value_set.get("compose", {}).get("include", ()):
        for concept in include.get("concept", ()):
            if "display" in concept:
                yield (include.get("system", ""), concept["code"]), concept["display"]
