"""The facts of FHIR R4 that the server needs, read from the generated tables of `r4/`.

Made by `python -m fhir_server.definitions.generate`; nothing is fetched at run time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).parent / "r4"
SERVED_TYPES = (
    "Appointment", "AuditEvent", "Basic", "Binary", "Bundle", "CapabilityStatement", "CareTeam",
    "Communication", "CommunicationRequest", "Device", "DocumentReference", "Encounter", "Group",
    "HealthcareService", "List", "Location", "OperationOutcome", "Organization", "Parameters",
    "Patient", "Practitioner", "PractitionerRole", "Provenance", "RelatedPerson", "Subscription",
    "Task",
)  # fmt: skip
# Answered from the declared folders: the same for every tenant, and never written.
PUBLISHED_TYPES = (
    "CodeSystem", "ConceptMap", "OperationDefinition", "SearchParameter", "StructureDefinition",
    "ValueSet",
)  # fmt: skip

Json = dict[str, Any]
SearchParameters = Mapping[str, Mapping[str, dict[str, Any]]]
Compartments = Mapping[str, Mapping[str, list[str]]]


def _table(name: str) -> Any:
    return orjson.loads((FOLDER / name).read_bytes())


class Structures(Mapping[str, Json]):
    """R4 type → `kind`, `base` and `elements` by path; a type's file is read when it is asked for.

    An element tells `type` (codes), `min` (0), `max` ("1"), `summary` (whether one has it),
    `target` types of references, `binding` (a required value set), `constraint`s (key, expression,
    human), and `content`, the path whose definition it shares. What the base type says is not
    repeated.
    """

    def __init__(self) -> None:
        self._files = {path.stem: path for path in (FOLDER / "structures").glob("*.json")}
        self._read: dict[str, Json] = {}

    def __getitem__(self, name: str) -> Json:
        if name not in self._read:
            self._read[name] = orjson.loads(self._files[name].read_bytes())
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


class ValueSets(Mapping[str, frozenset[tuple[str, str]]]):
    """Canonical url → (system, code) pairs of the core value sets that can be listed."""

    def __init__(self) -> None:
        self._read: dict[str, frozenset[tuple[str, str]]] = {}

    @cached_property
    def _table(self) -> dict[str, dict[str, list[str]]]:
        table: dict[str, dict[str, list[str]]] = _table("value-sets.json")
        return table

    def __getitem__(self, url: str) -> frozenset[tuple[str, str]]:
        if url not in self._read:
            systems = self._table[url].items()
            self._read[url] = frozenset((s, code) for s, codes in systems for code in codes)
        return self._read[url]

    def ordered(self, url: str) -> tuple[tuple[str, str], ...]:
        """The same pairs in the order of definition."""
        return tuple((s, code) for s, codes in self._table[url].items() for code in codes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


@dataclass(frozen=True)
class Facts:
    """Each table is read when it is first asked for."""

    @cached_property
    def resource_types(self) -> frozenset[str]:
        """Every concrete R4 resource type."""
        return frozenset(_table("resource-types.json"))

    @cached_property
    def structures(self) -> Structures:
        return Structures()

    @cached_property
    def value_sets(self) -> ValueSets:
        return ValueSets()

    @cached_property
    def code_systems(self) -> Mapping[str, Json]:
        """System → `name`, `version` and `concepts` (code → display): all codes of each.
        The systems of the value sets above that R4 carries whole."""
        systems: dict[str, Json] = _table("code-systems.json")
        return systems

    @cached_property
    def profiles(self) -> Mapping[str, Json]:
        """Canonical url → `type`, `element`s (a differential) and, for an extension, `context`."""
        profiles: dict[str, Json] = _table("profiles.json")
        return profiles

    @cached_property
    def search_parameters(self) -> SearchParameters:
        """Served or published type → code → `url`, `code`, `type`, `expression` (this type's part
        only; empty for text search), `target` types, and `components` of a composite."""
        parameters: dict[str, dict[str, dict[str, Any]]] = _table("search-parameters.json")
        every = sorted(self.resource_types)
        for codes in parameters.values():
            for parameter in codes.values():
                if parameter["target"] == ["*"]:
                    parameter["target"] = every
        return parameters

    @cached_property
    def compartments(self) -> Compartments:
        """Compartment type (`Patient`) → served type → codes of the parameters that link them."""
        compartments: Compartments = _table("compartments.json")
        return compartments


def load_facts() -> Facts:
    """Reads nothing yet."""
    return Facts()
