"""Whether the search parameters that a file names are ones that capability/ enables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fhir_server.definitions.model import ServedType
from fhir_server.mapping.faults import Faults

# https://hl7.org/fhir/R4/search.html#prefix
ORDERED = ("date", "number", "quantity")
CONTROLS = ("_sort", "_count", "_total")


@dataclass(frozen=True, slots=True)
class SearchNames:
    """`types` as capability/ serves them."""

    types: Mapping[str, ServedType]

    def check(self, resource: str, params: Iterable[tuple[str, str]], faults: Faults) -> None:
        """Each name that cannot be searched is a fault."""
        if resource not in self.types:
            faults.unknown("type", resource, self.types)
            return
        for name, value in params:
            if name == "_sort":
                for key in value.split(","):
                    self._parameter(resource, key.removeprefix("-"), faults.at(name))
            elif name not in CONTROLS:
                self._name(resource, name, faults.at(name))

    def ordered(self, resource: str, code: str) -> bool:
        """Whether values of the parameter can be compared, so that they take a prefix."""
        served = self.types.get(resource)
        return served is not None and code in served.search and served.search[code].type in ORDERED

    def _name(self, resource: str, name: str, faults: Faults) -> None:
        if name.startswith("_has:"):
            _, other, link, rest = (*name.split(":", 3), "", "", "")[:4]
            if other not in self.types:
                faults.unknown("type", other, self.types)
                return
            self._parameter(other, link, faults)
            self._name(other, rest, faults)
            return
        head, chained, rest = name.partition(".")
        code, _, modifier = head.partition(":")
        self._parameter(resource, code, faults)
        if chained and modifier in self.types:
            self._name(modifier, rest, faults)

    def _parameter(self, resource: str, code: str, faults: Faults) -> None:
        known = self.types[resource].search
        if code not in known:
            faults.unknown(f"search parameter of {resource}:", code, known)
