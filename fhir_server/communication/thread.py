"""Threads: who may open one, about whom, and how it is archived."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.communication.gdpr.restriction import check_used, check_used_of, keep_label
from fhir_server.communication.parties import (
    changed,
    check_chart,
    check_known,
    check_people,
    name_people,
    named,
    parties,
    reads,
    signed,
)
from fhir_server.context import Context
from fhir_server.definitions.loader import CANONICAL
from fhir_server.fhir.instant import now_text
from fhir_server.interactions.model import Draft, Event, Read, Resource, Snapshot
from fhir_server.problems import conflict, forbidden

PROFILE = f"{CANONICAL}/StructureDefinition/comm-thread"
PLACE = "Communication.recipient"
ARCHIVED = "completed"
CREATED = "communication.thread.created"
CLOSED = "communication.thread.archived"
JOINED_OR_LEFT = "communication.thread.participants.changed"
# What may change while a thread is open: who takes part, how it is called, whether it is open.
MUTABLE = frozenset({"status", "statusReason", "topic", "recipient", "meta", "text", "identifier"})


class ThreadRule:
    """The profile comm-thread."""

    profile = "comm-thread"
    announces = (CREATED, CLOSED, JOINED_OR_LEFT)

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """Participants, patient and encounter of a new thread."""
        if draft.kind == "create":
            body = draft.resource
            yield from reads([body.get("encounter"), *body.get("recipient", ())])
            # Its data must be free to be used until the thread is there.
            yield from (Read(one.ref, guard=True) for one in reads([body.get("subject")]))
        elif draft.kind == "update":
            yield from reads(draft.resource.get("recipient", ()))

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """The creator takes part; participants are known people; the chart is open to him."""
        keep_label(ctx, draft)
        name_people(draft.resource)
        before = draft.base.resource if draft.base else {}
        check_people(ctx, before.get("recipient", ()), draft.resource.get("recipient", ()), PLACE)
        if draft.kind == "create":
            self._open(ctx, draft.resource, snapshot)
        else:
            self._change(ctx, draft, snapshot)

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """created, archived when the last state was another, and who takes part when others do."""
        if draft.kind == "create":
            yield Event(CREATED, draft)
        elif draft.kind == "update" and draft.base:
            if parties(draft.resource) != parties(draft.base.resource):
                yield Event(JOINED_OR_LEFT, draft)
            if _archives(draft):
                yield Event(CLOSED, draft)

    def _open(self, ctx: Context, thread: Resource, snapshot: Snapshot) -> None:
        thread["sender"] = signed(ctx, thread)
        thread.setdefault("sent", now_text(ctx.now))
        thread["recipient"] = _with(thread.get("recipient", []), thread["sender"])
        check_known((r for r in thread["recipient"] if r != thread["sender"]), snapshot)
        check_chart(thread.get("subject"), snapshot)
        check_chart(thread.get("encounter"), snapshot)
        check_used_of(thread.get("subject"), snapshot)

    def _change(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        if ctx.is_system or draft.base is None:
            return
        before = {**draft.base.resource}
        name_people(before)
        if not is_thread(before):
            raise conflict("only what is opened as a thread is one")
        if draft.kind == "delete":
            raise forbidden("a thread is archived, not deleted")
        if ctx.user not in parties(before):
            raise forbidden("only a participant may change a thread")
        if before.get("status") == ARCHIVED:
            raise archived()
        fixed = changed(before, draft.resource) - MUTABLE
        if fixed:
            raise conflict(f"{min(fixed)} of a thread cannot change")
        _check_leaving(ctx, before, draft.resource)
        if parties(draft.resource) - parties(before):
            check_used(before)
        check_known(draft.resource.get("recipient", ()), snapshot)


def _check_leaving(ctx: Context, before: Resource, after: Resource) -> None:
    """Everyone may leave but the creator, who alone may remove others."""
    creator = named([before.get("sender")])
    left = named(before.get("recipient", ())) - named(after.get("recipient", ()))
    if left & creator:
        raise conflict("who opened a thread stays in it; archive it instead")
    if left - {ctx.user} and ctx.user not in creator:
        raise forbidden("only who opened the thread may remove others")


def is_thread(resource: Resource) -> bool:
    """Whether it was stored as one."""
    return PROFILE in resource.get("meta", {}).get("profile", ())


def archived() -> Exception:
    """409: the thread takes no more changes."""
    return conflict("the thread is archived", v1_code="INVALID_STATE_TRANSITION")


def _with(recipients: list[Resource], sender: Resource) -> list[Resource]:
    names = {recipient.get("reference") for recipient in recipients}
    return recipients if sender.get("reference") in names else [*recipients, dict(sender)]


def _archives(draft: Draft) -> bool:
    before = draft.base.resource.get("status") if draft.base else None
    return draft.resource.get("status") == ARCHIVED != before
