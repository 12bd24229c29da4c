"""Who is on call: by the tenant's policy, or else the role of that name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fhir_server.communication.configuration import ESCALATION, available, called, on_call, place
from fhir_server.interactions.model import Read, Ref, Resource, Snapshot
from fhir_server.problems import conflict

# Who it is where the tenant's policy does not say.
DEFAULT: Final = Ref("PractitionerRole", "on-call")


def reads() -> Iterator[Read]:
    """What `those_on_call` needs."""
    yield Read(place(ESCALATION), names=called)
    yield Read(DEFAULT)


def those_on_call(snapshot: Snapshot) -> list[Resource]:
    """Those who are there to be called."""
    there = (ref for ref in on_call(snapshot) or (DEFAULT,) if available(ref, snapshot))
    return [{"reference": f"{ref.type}/{ref.id}"} for ref in there]


def somebody(recipients: list[Resource]) -> list[Resource]:
    """The same; 409 where they are none: better a refusal than a page that nobody gets."""
    if not recipients:
        raise conflict("nobody is on call in your organisation")
    return recipients
