"""Attachments: who may upload a file for a thread, and who moves it from state to state.

Everything behind the first step is what the server itself has seen. It is written in a job's
context only, so that no client, trusted or not, can call a file clean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fhir_server.communication.attachment_state import (
    ADDRESS,
    CLEARED,
    EVENTS,
    FILE,
    FOUND_INFECTED,
    INITIATED,
    NEXT,
    SHA256,
    STATUS,
    TYPE,
    UPLOADED,
    content_of,
    is_attachment,
    moved,
    sha256_of,
    state_of,
    thread_of,
)
from fhir_server.communication.gdpr.restriction import check_used
from fhir_server.communication.parties import changed, parties, signed
from fhir_server.communication.thread import ARCHIVED, archived, is_thread
from fhir_server.context import Context
from fhir_server.fhir.instant import now_text
from fhir_server.files.kinds import KINDS
from fhir_server.interactions.model import Draft, Event, Read, Resource, Snapshot
from fhir_server.interactions.update import check_shown
from fhir_server.problems import Problem, conflict, forbidden

MUTABLE = frozenset({"description", "text", "meta"})
WRONG_STATE = "the attachment is not in a state for that"
# In bytes of UTF-8, what file systems take.
LONGEST_NAME = 255
# Separators, controls, and the marks that make a name read backwards.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f/\\:\u202a-\u202e\u2066-\u2069]|^[. ]|[. ]$")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = f"extension('{SHA256}').value.ofType(string)"


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be uploaded: `size` in bytes, and media types."""

    size: int = 25 * 1024 * 1024
    types: frozenset[str] = frozenset(KINDS)


@dataclass(frozen=True, slots=True)
class AttachmentRule:
    """The profile comm-attachment."""

    limits: Limits = field(default_factory=Limits)
    profile: str = "comm-attachment"
    announces: tuple[str, ...] = (UPLOADED, CLEARED, FOUND_INFECTED)

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """The thread, which must stay open until the attachment is in."""
        thread = thread_of(draft.resource)
        if draft.kind == "create" and thread:
            yield Read(thread, guard=True)

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """Author, time, patient and address of a new one; only the server goes on from there."""
        if draft.kind == "create":
            self._initiate(ctx, draft, snapshot)
        elif draft.kind == "update" and ctx.face == "job":
            _step(draft)
        else:
            _check_change(ctx, draft)

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """uploaded, cleared or quarantined, when that state is new."""
        before = state_of(draft.base.resource) if draft.base else None
        state = state_of(draft.resource)
        told = EVENTS.get(state or "") if state != before else None
        if told and draft.kind == "update":
            yield Event(told, draft)

    def _initiate(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        resource, ref = draft.resource, thread_of(draft.resource)
        seen = snapshot.get(ref) if ref else None
        if ref:
            check_shown(seen, ref)
        if seen is None or not is_thread(seen.resource):
            place = f"{TYPE}.context.related[0]"
            why = "context.related must be a thread of this server"
            raise Problem(422, "not-found", why, expression=place)
        author = signed(ctx, {**resource, "author": _first(resource, "author")}, "author")
        if author.get("reference") not in parties(seen.resource):
            raise forbidden("only a participant may add to a thread")
        if seen.resource.get("status") == ARCHIVED:
            raise archived()
        check_used(seen.resource)
        if state_of(resource) not in (None, INITIATED):
            raise _unfit("a new attachment is initiated", "extension[0].value")
        resource["author"] = [author]
        resource.setdefault("date", now_text(ctx.now))
        self._check_content(resource)
        _inherit(resource, seen.resource)
        _set_state(resource, INITIATED)
        _set_address(draft)

    def _check_content(self, resource: Resource) -> None:
        attachment = content_of(resource)
        place = "content[0].attachment"
        kind, name = attachment.get("contentType"), attachment.get("title", "")
        if {"data", "hash"} & attachment.keys() or "masterIdentifier" in resource:
            raise _unfit("an attachment is announced first; its content is uploaded", place)
        if kind is not None and kind not in self.limits.types:
            known = ", ".join(sorted(self.limits.types))
            raise _unfit(f"contentType must be one of {known}", f"{place}.contentType")
        if name and (_UNFIT.search(name) or len(name.encode()) > LONGEST_NAME):
            raise _unfit("title must be a plain file name", f"{place}.title")
        if name and kind and not KINDS[kind].named(name):
            wanted = " or ".join(KINDS[kind].suffixes)
            raise _unfit(f"title must end with {wanted} for that contentType", f"{place}.title")
        if not 1 <= attachment.get("size", 1) <= self.limits.size:
            raise _unfit(f"size must be 1 to {self.limits.size} bytes", f"{place}.size")
        announced = sha256_of(resource)
        if announced is not None and not _SHA256.fullmatch(announced):
            raise _unfit("sha256 must be 64 lower-case hexadecimal digits", f"{place}.{_DIGEST}")


def _set_state(resource: Resource, state: str) -> None:
    resource["extension"] = moved(resource, state)["extension"]
    resource["status"], resource["docStatus"] = STATUS[state]


def _set_address(draft: Draft) -> None:
    content = draft.resource["content"][0]
    attachment = {**content["attachment"], "url": ADDRESS.format(id=draft.id)}
    draft.resource["content"] = [{**content, "attachment": attachment}]


def _inherit(resource: Resource, thread: Resource) -> None:
    """Patient and encounter are the thread's: other words of the client's about them do not
    count, and where the thread has none, there are none."""
    subject, encounter = thread.get("subject"), thread.get("encounter")
    resource.pop("subject", None)
    if subject:
        resource["subject"] = subject
    related = resource["context"]["related"]
    resource["context"] = {"related": related, **({"encounter": [encounter]} if encounter else {})}


def _step(draft: Draft) -> None:
    before = state_of(draft.base.resource) if draft.base else None
    after = state_of(draft.resource) or ""
    if after not in NEXT.get(before or "", ()):
        raise conflict(WRONG_STATE, v1_code="INVALID_STATE_TRANSITION")
    if "masterIdentifier" in draft.resource:
        name = draft.resource["masterIdentifier"]["value"]
        draft.resource["masterIdentifier"] = {"system": FILE, "value": name}
    _set_state(draft.resource, after)


def _check_change(ctx: Context, draft: Draft) -> None:
    before = draft.base.resource if draft.base else {}
    if not is_attachment(before):
        raise conflict("only what is initiated as an attachment is one")
    if draft.kind == "delete":
        raise forbidden("an attachment is not deleted")
    if before["author"][0].get("reference") != ctx.user and not ctx.is_system:
        raise forbidden("only its uploader may change an attachment")
    fixed = changed(before, draft.resource) - MUTABLE
    if fixed:
        raise conflict(f"{min(fixed)} of an attachment cannot change")


def _first(resource: Resource, name: str) -> Any:
    listed = resource.get(name) or [None]
    if len(listed) > 1:
        raise _unfit(f"an attachment has one {name}", name)
    return listed[0]


def _unfit(why: str, place: str) -> Problem:
    return Problem(422, "value", why, expression=f"{TYPE}.{place}")
