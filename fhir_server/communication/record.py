"""Records that no profile of ours covers: exchanges elsewhere, and requests to communicate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_server.communication import attached
from fhir_server.communication.gdpr.restriction import check_used_of
from fhir_server.communication.parties import check_chart, reads, signed
from fhir_server.context import Context
from fhir_server.interactions.model import Draft, Event, Read, Snapshot
from fhir_server.problems import forbidden


@dataclass(frozen=True, slots=True)
class RecordRule:
    """A person writes records in his own name, about patients whose chart is open to him.

    What a record names of documents he may read, and no attachment of a thread is among them: that
    one goes with a message, which opens it to those who take part.

    `profile` is the resource type and `signature` the element that names who wrote it. A trusted
    backend may record anything.
    """

    profile: str
    signature: str
    announces: tuple[str, ...] = ()

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """The patient, and the documents that it carries."""
        if not ctx.is_system:
            yield from reads([draft.resource.get("subject")])
            yield from attached.reads(draft.resource)

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """Signs it; who signed it does not change, and nobody else changes it."""
        if ctx.is_system:
            return
        if draft.kind == "delete":
            raise forbidden("a record is entered in error, not deleted")
        name, before = self.signature, draft.base and draft.base.resource
        if before and before.get(name) != draft.resource.get(name):
            raise forbidden(f"the {name} of a record cannot change")
        if before and "reference" not in before.get(name, {}):
            raise forbidden("only a backend may change what nobody signed")
        draft.resource[name] = signed(ctx, draft.resource, name)
        check_chart(draft.resource.get("subject"), snapshot)
        attached.check_documents(draft.resource, snapshot)
        if draft.kind == "create":
            check_used_of(draft.resource.get("subject"), snapshot)

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """None: it only records."""
        return ()
