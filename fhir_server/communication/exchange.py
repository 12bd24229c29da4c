"""Communications that are neither thread nor message: records of exchanges elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.communication.parties import check_chart, reads, signed
from fhir_server.context import Context
from fhir_server.interactions.model import Draft, Event, Read, Snapshot
from fhir_server.problems import forbidden


class ExchangeRule:
    """Every Communication that no profile of ours covers."""

    profile = "Communication"
    announces = ()

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """The patient, unless a system client writes."""
        return () if ctx.is_system else reads([draft.resource.get("subject")])

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """A person writes in his own name, about patients whose chart is open to him."""
        if ctx.is_system:
            return
        if draft.kind == "delete":
            raise forbidden("a record is entered in error, not deleted")
        if draft.base and draft.base.resource.get("sender") != draft.resource.get("sender"):
            raise forbidden("the sender of a record cannot change")
        draft.resource["sender"] = signed(ctx, draft.resource)
        check_chart(draft.resource.get("subject"), snapshot)

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """None: it only records what happened elsewhere."""
        return ()
