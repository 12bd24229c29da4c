"""/metadata?mode=terminology. https://hl7.org/fhir/R4/terminologycapabilities.html"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.terminology.library import Library, System
from fhir_server.terminology.service import OPERATIONS

Json = dict[str, Any]


def capabilities(capability: Mapping[str, Any], library: Library) -> Json:
    """What the terminology operations know and heed, told along with the CapabilityStatement."""
    url = capability["url"].rpartition("/CapabilityStatement/")[0]
    expand = OPERATIONS["ValueSet", "expand"]
    return {
        "resourceType": "TerminologyCapabilities",
        "id": "terminology",
        "url": f"{url}/TerminologyCapabilities/terminology",
        **{key: capability[key] for key in ("version", "status", "date", "publisher")},
        "name": "ClinicalCommunicationTerminology",
        "title": "The codes that clinical communication on FHIR R4 needs",
        "kind": "instance",
        "software": capability["software"],
        "implementation": capability["implementation"],
        "lockedDate": False,
        "codeSystem": [_system(system) for system in library.systems],
        "expansion": {
            "hierarchical": False,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": name} for name in sorted(expand.takes | expand.idle)],
            "textFilter": "Every word must occur in the code or its display, in any case.",
        },
        "codeSearch": "explicit",
        "validateCode": {"translations": False},
        "translation": {"needsMap": False},
        "closure": {"translation": False},
    }


def _system(system: System) -> Json:
    version = {"version": [{"code": system.version, "isDefault": True}]} if system.version else {}
    return {"uri": system.url, **version, "subsumption": False}
