"""What the interactions of the FHIR face work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fhir_server.definitions.model import Definitions
from fhir_server.http.fhir.call import Call
from fhir_server.http.wire import Reply
from fhir_server.interactions import Interactions


@dataclass(frozen=True, slots=True)
class Service:
    """What the handlers work with."""

    interactions: Interactions
    definitions: Definitions


Handler = Callable[[Service, Call], Awaitable[Reply]]
