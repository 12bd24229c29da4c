"""/metadata: the declared CapabilityStatement, with what is this server's own (its version, its
address, whether browsers may call it, whether an issuer signs apps in), and with
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
    definitions: Definitions,
    library: Library,
    version: str,
    *,
    cors: bool = False,
    smart: bool = False,
) -> Mapping[str, Callable[[str], Reply]]:
    """What each mode answers: with `cors` where pages of some origin are let in, with `smart` where
    there is an issuer with whom apps sign in."""
    full = metadata(_secured(definitions.capability, cors=cors, smart=smart), version)
    terminology = metadata(capabilities(definitions.capability, library), version)
    return {"full": full, "normative": full, "terminology": terminology}


def _secured(declared: Mapping[str, Any], *, cors: bool, smart: bool) -> Mapping[str, Any]:
    rest, *others = declared["rest"]
    security = {**rest["security"], "cors": cors}
    if not smart:
        security.pop("service", None)
    return {**declared, "rest": [{**rest, "security": security}, *others]}


def metadata(declared: Mapping[str, Any], version: str) -> Callable[[str], Reply]:
    """Answers for the base URL a client used."""

    @lru_cache(maxsize=16)
    def at(base: str) -> Reply:
        software = {**declared["software"], "version": version}
        implementation = {**declared["implementation"], "url": base}
        own = {"software": software, "implementation": implementation}
        return json_reply({**declared, **own})

    return at
