"""Messages: who may send one into a thread, and what it takes from the thread."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.communication import attached
from fhir_server.communication.gdpr.restriction import check_used
from fhir_server.communication.parties import changed, local, name_people, parties, signed
from fhir_server.communication.thread import ARCHIVED, archived, is_thread
from fhir_server.context import Context
from fhir_server.definitions.loader import CANONICAL
from fhir_server.fhir.instant import now_text
from fhir_server.interactions.model import Draft, Event, Read, Ref, Resource, Seen, Snapshot
from fhir_server.interactions.update import check_shown
from fhir_server.problems import Problem, conflict, forbidden

RECEIPT = f"{CANONICAL}/StructureDefinition/read-receipt"
INHERITED = ("subject", "encounter")
MUTABLE = frozenset({"status", "statusReason", "meta", "identifier"})
WITHDRAWN = "entered-in-error"
SENT = "communication.message.sent"
READ = "communication.message.read"
REDACTED = "communication.message.redacted"
MARK_READ = "mark-read"


class MessageRule:
    """The profile comm-message."""

    profile = "comm-message"
    announces = (SENT, READ, REDACTED)

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """The thread, which must stay open until the message is in, and what is sent with it."""
        thread = thread_of(draft.resource)
        if draft.kind == "create" and thread:
            yield Read(thread, guard=True)
        if draft.kind != "delete" and draft.operation is None:
            yield from attached.reads(draft.resource)

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """Sender, time, recipients, patient and encounter, from caller and thread."""
        if draft.kind == "create":
            self._send(ctx, draft.resource, snapshot)
        elif draft.operation is None:
            self._change(ctx, draft, snapshot)

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """sent, read by the caller, or redacted by an erasure."""
        if draft.kind == "create":
            yield Event(SENT, draft)
        elif draft.operation == MARK_READ:
            yield Event(READ, draft)
        elif draft.erases:
            yield Event(REDACTED, draft)

    def _send(self, ctx: Context, message: Resource, snapshot: Snapshot) -> None:
        thread = _open_thread(message, snapshot)
        members = parties(thread.resource)
        name_people(message)
        message["sender"] = sender = signed(ctx, message)
        if sender.get("reference") not in members:
            raise forbidden("only a participant may write in a thread")
        if not ctx.is_system and _claims_receipt(message):
            raise forbidden("receipts come from those who read, by $mark-read")
        attached.check(message, Ref(thread.stored.type, thread.stored.id), snapshot)
        message.setdefault("sent", now_text(ctx.now))
        message.setdefault("priority", "routine")
        others = thread.resource["recipient"]
        own = local(sender)
        message["recipient"] = [r for r in others if local(r) != own]
        name_people(message)
        if not message["recipient"]:
            del message["recipient"]
        for name in INHERITED:
            inherit(message, name, thread.resource)

    def _change(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        before = draft.base.resource if draft.base else {}
        if ctx.is_system:
            name_people(draft.resource)
            _check_payload(before, draft, snapshot)
            return
        if draft.kind == "delete":
            raise forbidden("a message is entered in error, not deleted")
        if before.get("sender", {}).get("reference") != ctx.user:
            raise forbidden("only its sender may change a message")
        if changed(before, draft.resource) - MUTABLE:
            raise conflict("a sent message keeps its content; mark it entered-in-error")
        if draft.resource.get("status") not in (before.get("status"), WITHDRAWN):
            raise conflict("its sender may mark a message entered-in-error, nothing else")


def thread_of(message: Resource) -> Ref | None:
    """The thread it is part of."""
    return next(iter(filter(None, map(local, message.get("partOf", ())))), None)


def _check_payload(before: Resource, draft: Draft, snapshot: Snapshot) -> None:
    """Content that a trusted backend changes is held to what a new message's is."""
    thread = thread_of(draft.resource)
    if thread and draft.kind == "update" and "payload" in changed(before, draft.resource):
        attached.check(draft.resource, thread, snapshot)


def _claims_receipt(message: Resource) -> bool:
    listed = (extension.get("url") for extension in message.get("extension", ()))
    return "received" in message or RECEIPT in listed


def _open_thread(message: Resource, snapshot: Snapshot) -> Seen:
    ref = thread_of(message)
    thread = snapshot.get(ref) if ref else None
    if thread is None:
        raise Problem(
            422,
            "not-found",
            "partOf must be a thread of this server",
            expression="Communication.partOf[0]",
        )
    check_shown(thread, Ref(thread.stored.type, thread.stored.id))
    if not is_thread(thread.resource):
        place = "Communication.partOf[0]"
        raise Problem(422, "business-rule", "partOf must be a thread", expression=place)
    if thread.resource.get("status") == ARCHIVED:
        raise archived()
    check_used(thread.resource)
    return thread


def inherit(message: Resource, name: str, thread: Resource) -> None:
    """Takes the element over from the thread; 409 where it has another one."""
    theirs, ours = thread.get(name), message.get(name)
    if ours and theirs and ours.get("reference") != theirs.get("reference"):
        raise conflict(f"{name} is that of the thread")
    if ours and not theirs:
        raise conflict(f"the thread has no {name}")
    if theirs:
        message[name] = theirs
