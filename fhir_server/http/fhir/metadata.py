"""/metadata: the declared CapabilityStatement, with this software's version and address, and with
`mode=terminology` the TerminologyCapabilities.

https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from fhir_server.definitions.model import Definitions
from fhir_server.http.fhir.replies import json_reply
from fhir_server.http.wire import Reply
from fhir_server.terminology.capabilities import capabilities
from fhir_server.terminology.library import Library


def statements(
    definitions: Definitions, library: Library, version: str
) -> Mapping[str, Callable[[str], Reply]]:
    """What each mode answers."""
    full = metadata(definitions.capability, version)
    terminology = metadata(capabilities(definitions.capability, library), version)
    return {"full": full, "normative": full, "terminology": terminology}


def metadata(declared: Mapping[str, Any], version: str) -> Callable[[str], Reply]:
    """Answers for the base URL a client used."""

    @lru_cache(maxsize=16)
    def at(base: str) -> Reply:
        software = {**declared["software"], "version": version}
        implementation = {**declared["implementation"], "url": base}
        return json_reply({**declared, "software": software, "implementation": implementation})

    return at
