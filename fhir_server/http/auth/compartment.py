"""How a `patient/` scope is held to its patient: one search criterion for each type.

The criterion is never wider than the Patient compartment; for Communication it is the patient
whom the communication is about.
https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.definitions.facts import PUBLISHED_TYPES
from fhir_server.http.auth.smart import Criterion

PARAMETER: Mapping[str, str] = {
    "Patient": "_id",
    "Appointment": "patient",
    "AuditEvent": "patient",
    "Basic": "patient",
    "CareTeam": "patient",
    "Communication": "patient",
    "CommunicationRequest": "patient",
    "Device": "patient",
    "DocumentReference": "patient",
    "Encounter": "patient",
    "Group": "member",
    "Provenance": "patient",
    "RelatedPerson": "patient",
    "Task": "patient",
}

# Who and where, not about any patient: readable so that an app can name the people it shows.
DIRECTORY = frozenset(
    {"Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService"}
)


# The server's own definitions, which are about nobody.
PUBLISHED = frozenset(PUBLISHED_TYPES)


def binding(resource_type: str, patient: str, letter: str) -> tuple[Criterion, ...] | None:
    """The criteria that hold `patient` ("Patient/x"); None when the type cannot be held to it."""
    if resource_type in DIRECTORY | PUBLISHED:
        return () if letter in "rs" else None
    parameter = PARAMETER.get(resource_type)
    if parameter is None:
        return None
    value = patient.removeprefix("Patient/") if parameter == "_id" else patient
    return ((parameter, value),)
