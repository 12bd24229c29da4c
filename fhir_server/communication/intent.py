"""Notification intents: that somebody is to be notified, and by which channels.

An intent carries the key of a template and opaque variables; what was said stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhir_server.communication import on_call
from fhir_server.communication.configuration import allowed_channels
from fhir_server.context import Context
from fhir_server.definitions.loader import CANONICAL
from fhir_server.fhir.ids import new_id
from fhir_server.fhir.instant import now_text
from fhir_server.interactions.model import Draft, Event, Read, Resource, Snapshot
from fhir_server.problems import forbidden

QUEUED = "communication.notification.queued"
KIND = f"{CANONICAL}/CodeSystem/request-kind"
CATEGORY = f"{CANONICAL}/CodeSystem/notification-category"
CHANNEL = f"{CANONICAL}/CodeSystem/notification-channel"
CORRELATION = f"{CANONICAL}/NamingSystem/correlation-id"
# Categories that go to those on call, whoever else is named.
TO_ON_CALL = frozenset({"critical-result"})


class IntentRule:
    """The profile commreq-intent."""

    profile = "commreq-intent"
    announces = (QUEUED,)

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """Those on call, where it goes to them; who makes an intent knows what it is about."""
        return on_call.reads() if _goes_to_on_call(draft) else ()

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """Systems ask for notifications; people cause them by what they do."""
        if not ctx.is_system and not draft.caused:
            raise forbidden("a notification is asked for by a system")
        if _goes_to_on_call(draft):
            named = draft.resource.get("recipient", [])
            further = [one for one in on_call.those_on_call(snapshot) if one not in named]
            draft.resource["recipient"] = on_call.somebody([*named, *further])

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """queued."""
        if draft.kind == "create":
            yield Event(QUEUED, draft)


def intent(
    ctx: Context,
    category: str,
    cause: str,
    recipients: Sequence[Resource],
    snapshot: Snapshot,
) -> Draft:
    """An urgent intent to notify `recipients` of what `cause` (a reference) is; needs the tenant's
    channels in `snapshot`."""
    channels = allowed_channels(category, snapshot)
    resource = {
        "resourceType": "CommunicationRequest",
        "status": "active",
        "groupIdentifier": {"system": CORRELATION, "value": cause},
        "basedOn": [{"reference": cause}],
        "category": [_concept(KIND, "notification"), _concept(CATEGORY, category)],
        "priority": "stat",
        "authoredOn": now_text(ctx.now),
        "recipient": list(recipients),
        **({"medium": [_concept(CHANNEL, one) for one in channels]} if channels else {}),
    }
    return Draft("create", "CommunicationRequest", new_id(), resource, caused=True)


def _goes_to_on_call(draft: Draft) -> bool:
    codings = (c for one in draft.resource.get("category", ()) for c in one.get("coding", ()))
    codes = {coding.get("code") for coding in codings if coding.get("system") == CATEGORY}
    return draft.kind == "create" and not TO_ON_CALL.isdisjoint(codes)


def _concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}
