"""The codes of the value sets that the project declares, beside those of R4.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from fhir_server.definitions.facts import Facts
from fhir_server.validation.bindings import codings, pair_in
from fhir_server.validation.run import Json

Pair = tuple[str, str]
Codes = frozenset[Pair]
Listed = tuple[Pair, ...]


class Unlistable(Exception):
    """A part of the value set is not at hand."""


class Terminology:
    """Value sets by canonical url, declared ones first."""

    def __init__(
        self, facts: Facts, value_sets: Iterable[Json], code_systems: Iterable[Json]
    ) -> None:
        self._facts = facts
        self._value_sets = {v["url"]: v for v in value_sets}
        self._systems = {s["url"]: s for s in code_systems}
        self._known: dict[str, Listed | None] = {}
        self._pairs: dict[str, Codes] = {}
        self._codes: dict[str, frozenset[str]] = {}

    def codes(self, url: str) -> Codes | None:
        """The (system, code) pairs of a value set; None when they cannot be listed."""
        found = self._pairs.get(url)
        if found is None:
            listed = self.listed(url)
            if listed is None:
                return None
            found = self._pairs[url] = frozenset(listed)
        return found

    def listed(self, url: str) -> Listed | None:
        """The same pairs, in the order of definition."""
        url = url.partition("|")[0]
        if url not in self._known:
            self._known[url] = None  # a value set that includes itself ends here
            with suppress(Unlistable):
                self._known[url] = self._listed(url)
        return self._known[url]

    def has(self, url: str, value: Any) -> bool | None:
        """Whether a code, Coding, Quantity or CodeableConcept is in a value set; None when its
        codes cannot be listed."""
        pairs = self.codes(url)
        if pairs is None:
            return None
        if isinstance(value, str):
            return value in self._plain(url)
        kind = "CodeableConcept" if isinstance(value, dict) and "coding" in value else "Coding"
        return isinstance(value, dict) and any(
            pair_in(pairs, system, code) for system, code in codings(value, kind)
        )

    def _plain(self, url: str) -> frozenset[str]:
        """The codes without their systems, as a `code` element has them."""
        found = self._codes.get(url)
        if found is None:
            found = self._codes[url] = frozenset(code for _, code in self.codes(url) or ())
        return found

    def composed(self, value_set: Json) -> Listed:
        """What a value set's own definition comes to; Unlistable when a part is not at hand."""
        compose = value_set.get("compose", {})
        outside = {pair for part in compose.get("exclude", ()) for pair in self._part(part)}
        inside = (pair for part in compose.get("include", ()) for pair in self._part(part))
        return tuple(dict.fromkeys(pair for pair in inside if pair not in outside))

    def _listed(self, url: str) -> Listed:
        declared = self._value_sets.get(url)
        if declared is not None:
            return self.composed(declared)
        if url not in self._facts.value_sets:
            raise Unlistable(url)
        return self._facts.value_sets.ordered(url)

    def _part(self, part: Json) -> Listed:
        """An include or exclude: what its system gives and all its value sets have."""
        wanted = [self._required(url) for url in part.get("valueSet", ())]
        if "system" in part:
            wanted.insert(0, tuple(self._of_system(part)))
        if not wanted:
            raise Unlistable("an include that names nothing")
        common = frozenset(wanted[0]).intersection(*wanted[1:])
        return tuple(pair for pair in wanted[0] if pair in common)

    def _required(self, url: str) -> Listed:
        found = self.listed(url)
        if found is None:
            raise Unlistable(url)
        return found

    def _of_system(self, part: Json) -> Iterator[Pair]:
        system = part["system"]
        if "concept" in part:
            yield from ((system, concept["code"]) for concept in part["concept"])
            return
        declared = self._systems.get(system)
        if declared is None or "filter" in part:
            raise Unlistable(system)
        yield from ((system, code) for code in _codes(declared.get("concept", ())))


def _codes(concepts: Iterable[Json]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _codes(concept.get("concept", ()))
