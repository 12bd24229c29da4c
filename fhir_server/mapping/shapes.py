"""Which elements a type has, how often and of which types: the R4 facts seen by a path.

A place is a type (`Communication`, `Reference`) or a backbone element (`Communication.payload`).
A profile may forbid elements of its type; then they are not there for a path either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NESTED = ("BackboneElement", "Element")

Structures = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Child:
    """An element below a place: the places it may be, whether it repeats, is required."""

    types: tuple[str, ...]
    many: bool
    required: bool


@dataclass(frozen=True, slots=True)
class Shapes:
    """The elements of `structures` (type → `base`, `elements` by path), less the `forbidden`."""

    structures: Structures
    forbidden: frozenset[str] = frozenset()
    demanded: frozenset[str] = frozenset()

    def of(self, profile: Mapping[str, Any]) -> Shapes:
        """The same, as far as a StructureDefinition with a differential allows and demands."""
        elements = [e for e in profile["differential"]["element"] if ":" not in e["id"]]
        return Shapes(
            self.structures,
            frozenset(e["path"] for e in elements if e.get("max") == "0"),
            frozenset(e["path"] for e in elements if e.get("min")),
        )

    def child(self, place: str, name: str) -> Child | None:
        """The element `name` below `place`, from the type itself or the types it builds on."""
        for prefix, elements in self._layers(place):
            for path in (f"{prefix}.{name}", f"{prefix}.{name}[x]"):
                if path in elements and f"{place}.{name}" not in self.forbidden:
                    return self._facts(path, elements[path], f"{place}.{name}")
        return None

    def names(self, place: str) -> tuple[str, ...]:
        """What can stand below `place`."""
        found = {
            path.removeprefix(prefix + ".").removesuffix("[x]")
            for prefix, elements in self._layers(place)
            for path in elements
            if path.startswith(prefix + ".") and "." not in path.removeprefix(prefix + ".")
        }
        return tuple(sorted(n for n in found if f"{place}.{n}" not in self.forbidden))

    def required(self, place: str) -> tuple[str, ...]:
        """The names below `place` that a resource cannot do without."""
        children = ((name, self.child(place, name)) for name in self.names(place))
        return tuple(name for name, child in children if child and child.required)

    def _facts(self, path: str, facts: Mapping[str, Any], asked: str) -> Child:
        required = bool(facts.get("min")) or asked in self.demanded
        declared = facts.get("type", ())
        types = tuple(path if t in NESTED else t for t in declared) or (facts["content"],)
        return Child(types, facts.get("max", "1") != "1", required)

    def _layers(self, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        root, _, rest = place.partition(".")
        if rest:
            yield place, self.structures[root]["elements"]
            root = "BackboneElement"
        while root in self.structures:
            yield root, self.structures[root]["elements"]
            root = self.structures[root]["base"]
