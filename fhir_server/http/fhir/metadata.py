"""/metadata: the declared CapabilityStatement, with what is this server's own: its version,
its address, and whether browsers may call it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from fhir_server.definitions.model import Definitions
from fhir_server.http.fhir.replies import json_reply
from fhir_server.http.wire import Reply


def metadata(
    definitions: Definitions, version: str, *, cors: bool = False
) -> Callable[[str], Reply]:
    """Answers for the base URL a client used."""
    declared = definitions.capability
    rest, *others = declared["rest"]
    opened = {**rest, "security": {**rest["security"], "cors": cors}}

    @lru_cache(maxsize=16)
    def at(base: str) -> Reply:
        software = {**declared["software"], "version": version}
        implementation = {**declared["implementation"], "url": base}
        own = {"software": software, "implementation": implementation}
        return json_reply({**declared, **own, "rest": [opened, *others]})

    return at
