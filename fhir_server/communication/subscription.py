"""Where notifications of a Subscription may be sent: nothing that leads back inside.

The channel of a Subscription is an address that a client chose and that the server will call, with
headers of the client's choice. https://hl7.org/fhir/R4/subscription-definitions.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from fhir_server.context import Context
from fhir_server.interactions.model import Draft, Event, Read, Resource, Snapshot
from fhir_server.outbound import EndpointError, Endpoints
from fhir_server.problems import Problem

ENDPOINT: Final = "Subscription.channel.endpoint"
# Channels that are no HTTP, and how their endpoints are written.
_OTHERS: Final[Mapping[str, re.Pattern[str]]] = {
    "email": re.compile(r"mailto:[\w.+-]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII),
    "sms": re.compile(r"(?:tel|sms):\+?[0-9-]{3,20}", re.ASCII),
}
_HEADER = re.compile(r"(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}):[ \t]*[ -~]{0,4096}", re.ASCII)
# The server's own to say, of each request.
_OURS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "expect", "host"}
    | {"http2-settings", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)


class SubscriptionRule:
    """422 for an endpoint or a header that would turn the server against others or itself."""

    profile = "Subscription"
    announces: tuple[str, ...] = ()

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """Nothing: it says all itself."""
        return ()

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """Checks the channel, unless it is only switched off."""
        channel = draft.resource.get("channel", {})
        if draft.kind == "delete" or _is_switched_off(draft):
            return
        self._check_endpoint(channel)
        for at, header in enumerate(channel.get("header", ())):
            found = _HEADER.fullmatch(header) if isinstance(header, str) else None
            if found is None or found["name"].lower() in _OURS:
                why = "it must be one header, and none that the server says itself"
                raise _refused(why, f"Subscription.channel.header[{at}]")

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """Nobody is told."""
        return ()

    def _check_endpoint(self, channel: Resource) -> None:
        endpoint, kind = channel.get("endpoint"), channel.get("type")
        if endpoint is None:
            if kind == "rest-hook":
                raise _refused("a rest-hook needs an endpoint", ENDPOINT)
            return
        if form := _OTHERS.get(str(kind)):
            if not form.fullmatch(endpoint):
                raise _refused(f"an endpoint of {kind} is one address", ENDPOINT)
            return
        try:
            self._endpoints.read(endpoint)
        except EndpointError as error:
            raise _refused(f"nothing is sent to this endpoint: {error}", ENDPOINT) from None


def _is_switched_off(draft: Draft) -> bool:
    """Whether it keeps its channel, which may have been allowed once, and is not to be used."""
    before = draft.base.resource.get("channel") if draft.base else None
    return draft.resource.get("status") == "off" and before == draft.resource.get("channel")


def _refused(why: str, place: str) -> Problem:
    return Problem(422, "business-rule", why, expression=place)
