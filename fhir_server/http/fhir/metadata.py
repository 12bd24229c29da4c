"""/metadata: the declared CapabilityStatement, with this software's version and address."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from fhir_server.definitions.model import Definitions
from fhir_server.http.fhir.replies import json_reply
from fhir_server.http.wire import Reply


def metadata(definitions: Definitions, version: str) -> Callable[[str], Reply]:
    """Answers for the base URL a client used."""
    declared = definitions.capability

    @lru_cache(maxsize=16)
    def at(base: str) -> Reply:
        software = {**declared["software"], "version": version}
        implementation = {**declared["implementation"], "url": base}
        return json_reply({**declared, "software": software, "implementation": implementation})

    return at
