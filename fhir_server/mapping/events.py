"""The shape of events: the mapping read backwards, as for an answer.

The domain says that something happened to a resource; a mapping file says which of its v1 fields
are told. What a patient wrote or is called is never among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.codec import MISSING
from fhir_server.mapping.faults import Faults
from fhir_server.mapping.field import Field

DRAFT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class EventShape:
    """The data of one event type."""

    type: str
    getters: tuple[tuple[str, Callable[[dict[str, Any]], Any]], ...]
    schema: Mapping[str, Any]

    def data(self, resource: dict[str, Any]) -> dict[str, Any]:
        """v1 names and values; what the resource does not have is left out."""
        found = ((name, get(resource)) for name, get in self.getters)
        return {name: value for name, value in found if value is not MISSING}


def compile_events(
    declared: Mapping[str, list[str]], fields: Mapping[str, Field], faults: Faults
) -> dict[str, EventShape]:
    """The shapes that one file declares; an unknown field is a fault."""
    return {
        type_: _shape(type_, names, fields, faults.at(type_)) for type_, names in declared.items()
    }


def _shape(type_: str, names: list[str], fields: Mapping[str, Field], faults: Faults) -> EventShape:
    for name in names:
        if name not in fields:
            faults.unknown("field", name, fields)
    used = [fields[name] for name in names if name in fields]
    properties = {field.name: dict(field.schema) for field in used}
    schema = {
        "$schema": DRAFT,
        "title": type_,
        "type": "object",
        "properties": properties,
        "required": names[:1],
        "additionalProperties": False,
    }
    return EventShape(type_, tuple((field.name, field.optic.view) for field in used), schema)
