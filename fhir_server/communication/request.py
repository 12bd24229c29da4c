"""Requests for communication: who asks, and about whom."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.communication.parties import check_chart, reads, signed
from fhir_server.context import Context
from fhir_server.interactions.model import Draft, Event, Read, Snapshot
from fhir_server.problems import forbidden


class RequestRule:
    """Every CommunicationRequest."""

    profile = "CommunicationRequest"
    announces = ()

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """The patient, unless a system client writes."""
        return () if ctx.is_system else reads([draft.resource.get("subject")])

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """A person asks in his own name, about patients whose chart is open to him."""
        if ctx.is_system:
            return
        if draft.kind == "delete":
            raise forbidden("a request is revoked or entered in error, not deleted")
        if draft.base and draft.base.resource.get("requester") != draft.resource.get("requester"):
            raise forbidden("the requester cannot change")
        draft.resource["requester"] = signed(ctx, draft.resource, "requester")
        check_chart(draft.resource.get("subject"), snapshot)

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """None yet: an escalation's profile has its own rule."""
        return ()
