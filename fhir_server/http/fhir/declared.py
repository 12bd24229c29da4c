"""What the CapabilityStatement declares for the whole server rather than for one type."""

from __future__ import annotations

from fhir_server.definitions.model import Definitions

CANONICAL = "http://hl7.org/fhir/CompartmentDefinition/"


def owners(definitions: Definitions) -> frozenset[str]:
    """The types whose compartments can be searched: `GET /Patient/x/Communication`."""
    declared = definitions.capability["rest"][0].get("compartment", ())
    codes = {url.removeprefix(CANONICAL).lower() for url in declared}
    return frozenset(name for name in definitions.compartments if name.lower() in codes)


def system_interactions(definitions: Definitions) -> frozenset[str]:
    """Those on the base address: `history-system` …"""
    declared = definitions.capability["rest"][0].get("interaction", ())
    return frozenset(interaction["code"] for interaction in declared)
