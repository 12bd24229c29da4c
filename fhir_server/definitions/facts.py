"""The facts of FHIR R4 that the server needs, read from the generated tables of `r4/`.

Made by `python -m fhir_server.definitions.generate`; nothing is fetched at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).parent / "r4"
SERVED_TYPES = tuple(
    """Appointment AuditEvent Basic Binary Bundle CapabilityStatement CareTeam Communication
    CommunicationRequest Device DocumentReference Encounter Group HealthcareService Location
    OperationOutcome Organization Parameters Patient Practitioner PractitionerRole Provenance
    RelatedPerson Subscription Task""".split()
)

SearchParameters = Mapping[str, Mapping[str, dict[str, Any]]]
Compartments = Mapping[str, Mapping[str, list[str]]]


def _table(name: str) -> Any:
    return orjson.loads((FOLDER / name).read_bytes())


@dataclass(frozen=True)
class Facts:
    """Each table is read when it is first asked for."""

    @cached_property
    def resource_types(self) -> frozenset[str]:
        """Every concrete R4 resource type."""
        return frozenset(_table("resource-types.json"))

    @cached_property
    def search_parameters(self) -> SearchParameters:
        """Served type → code → `url`, `code`, `type`, `expression` (this type's part only; empty
        for text search), `target` types, and `components` of a composite."""
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
