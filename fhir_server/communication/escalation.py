"""Escalations: a conversation that became urgent goes to those on call."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.communication import on_call
from fhir_server.communication.configuration import CHANNELS, ESCALATION, escalating_roles, place
from fhir_server.communication.gdpr.restriction import check_used
from fhir_server.communication.intent import intent
from fhir_server.communication.message import inherit
from fhir_server.communication.parties import local, parties, signed
from fhir_server.communication.thread import ARCHIVED, archived, is_thread
from fhir_server.context import Context
from fhir_server.fhir.instant import now_text
from fhir_server.interactions.model import Draft, Event, Read, Ref, Resource, Seen, Snapshot
from fhir_server.interactions.update import check_shown
from fhir_server.problems import Problem, forbidden

ESCALATED = "communication.thread.escalated"
URGENT = ("stat", "urgent")


class EscalationRule:
    """The profile commreq-escalation."""

    profile = "commreq-escalation"
    announces = (ESCALATED,)

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """The thread, which must stay open until then, the policies, and who is on call."""
        thread = _thread(draft.resource)
        if draft.kind == "create":
            yield from on_call.reads()
            yield Read(place(CHANNELS))
            if thread:
                yield Read(thread, guard=True)

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """Who escalates, when, to whom, and about which patient; 403 where policy bars him."""
        if draft.kind == "create":
            self._escalate(ctx, draft.resource, snapshot)
        elif not ctx.is_system:
            raise forbidden("an escalation is not taken back")

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """escalated."""
        if draft.kind == "create":
            yield Event(ESCALATED, draft)

    def _escalate(self, ctx: Context, request: Resource, snapshot: Snapshot) -> None:
        thread = _open_thread(request, snapshot).resource
        request["requester"] = requester = signed(ctx, request, "requester")
        if requester.get("reference") not in parties(thread):
            raise forbidden("only a participant may escalate a thread")
        roles = escalating_roles(snapshot)
        if roles and not ctx.is_system and not roles & ctx.roles:
            raise forbidden("your role may not escalate")
        if request.setdefault("priority", "stat") not in URGENT:
            raise _refused("value", "an escalation is urgent or emergent", "priority")
        request.setdefault("authoredOn", now_text(ctx.now))
        request["recipient"] = on_call.somebody(on_call.those_on_call(snapshot))
        for name in ("subject", "encounter"):
            inherit(request, name, thread)


def notify_on_call(ctx: Context, event: Event, snapshot: Snapshot) -> Iterable[Draft]:
    """The intent to notify those on call of an escalation."""
    draft = event.draft
    yield intent(ctx, ESCALATION, draft.reference, draft.resource["recipient"], snapshot)


def _thread(request: Resource) -> Ref | None:
    return next(iter(filter(None, map(local, request.get("about", ())))), None)


def _open_thread(request: Resource, snapshot: Snapshot) -> Seen:
    ref = _thread(request)
    thread = snapshot.get(ref) if ref else None
    if thread is None:
        why = "about must be a thread of this server"
        raise Problem(422, "not-found", why, expression="CommunicationRequest.about[0]")
    check_shown(thread, Ref(thread.stored.type, thread.stored.id))
    if not is_thread(thread.resource):
        raise _refused("business-rule", "about must be a thread", "about[0]")
    if thread.resource.get("status") == ARCHIVED:
        raise archived()
    check_used(thread.resource)
    return thread


def _refused(code: str, why: str, element: str) -> Problem:
    return Problem(422, code, why, expression=f"CommunicationRequest.{element}")
