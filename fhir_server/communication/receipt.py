"""Read receipts: the reader's latest time wins, whatever order devices report in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from fhir_server.communication.message import MARK_READ, RECEIPT, thread_of
from fhir_server.communication.parties import local, parties
from fhir_server.context import Context
from fhir_server.fhir.instant import interval, now_text
from fhir_server.interactions.model import Draft, Read, Ref, Resource, Seen, Snapshot
from fhir_server.interactions.update import check_open
from fhir_server.problems import forbidden, invalid, not_found

SKEW = timedelta(minutes=5)
AT_MOST = 200


class MarkRead:
    """Communication/{thread}/$mark-read."""

    code = MARK_READ
    type = "Communication"

    def reads(self, ctx: Context, id: str, parameters: Resource) -> Iterable[Read]:
        """The thread and the messages."""
        yield Read(Ref(self.type, id))
        yield from map(Read, _messages(parameters))

    def decide(
        self, ctx: Context, id: str, parameters: Resource, snapshot: Snapshot
    ) -> tuple[Sequence[Draft], Resource]:
        """A new version of each message whose receipt moves."""
        thread = snapshot.get(Ref(self.type, id))
        if ctx.user not in parties(check_member(ctx, thread, Ref(self.type, id)).resource):
            raise forbidden("only a participant may read a thread")
        read_at = _read_at(ctx, parameters)
        refs = _messages(parameters)
        messages = [(ref, _message(ctx, snapshot, ref, id)) for ref in refs]
        drafts = [d for _, m in messages if (d := _draft(ctx, m, read_at)) is not None]
        drafted = {d.id: d.resource for d in drafts}
        latest = [
            (ref, _standing(drafted.get(ref.id, m.resource), ctx.user)) for ref, m in messages
        ]
        return drafts, _answer(latest)


def check_member(ctx: Context, thread: Seen | None, ref: Ref) -> Seen:
    """The thread; a participant sees it even where the chart is closed to him."""
    if thread is not None and ctx.user in parties(thread.resource):
        return thread
    return check_open(thread, ref)


def _messages(parameters: Resource) -> list[Ref]:
    values = [p.get("valueReference") for p in _named(parameters, "message")]
    refs = list(dict.fromkeys(ref for ref in map(local, values) if ref))
    if not refs or len(refs) > AT_MOST or any(ref.type != "Communication" for ref in refs):
        raise invalid(f"1 to {AT_MOST} messages are needed", "Parameters.parameter")
    return refs


def _named(parameters: Resource, name: str) -> list[Resource]:
    listed = parameters.get("parameter", ())
    return [p for p in listed if isinstance(p, dict) and p.get("name") == name]


def _read_at(ctx: Context, parameters: Resource) -> datetime:
    given = [p.get("valueInstant") for p in _named(parameters, "readAt")]
    if not given:
        return ctx.now
    try:
        read_at = interval(str(given[0]))[0]
    except ValueError:
        raise invalid("readAt must be an instant", "Parameters.parameter") from None
    if read_at > ctx.now + SKEW:
        raise invalid("readAt must not lie in the future", "Parameters.parameter")
    return read_at


def _message(ctx: Context, snapshot: Snapshot, ref: Ref, thread: str) -> Seen:
    """One that he received, or may read; what was said before he joined is not there for him."""
    found = snapshot.get(ref)
    part_of = thread_of(found.resource) if found else None
    if found is None or part_of != Ref("Communication", thread) or not _told(ctx, found):
        raise not_found("one of the messages, in this thread,")
    return found


def _told(ctx: Context, message: Seen) -> bool:
    return message.allowed or ctx.user in parties(message.resource)


def _draft(ctx: Context, message: Seen, read_at: datetime) -> Draft | None:
    resource, user = dict(message.resource), ctx.user or ""
    if resource.get("sender", {}).get("reference") == user:
        return None
    before = _standing(resource, user)
    if before and interval(before)[0] >= read_at:
        return None
    others = [e for e in resource.get("extension", ()) if _reader(e) != user]
    resource["extension"] = [*others, _receipt(user, read_at)]
    _complete_when_all_read(resource)
    ref = message.stored
    opened = Seen(message.stored, message.resource, allowed=True)
    return Draft("update", ref.type, ref.id, resource, opened)


def _complete_when_all_read(message: Resource) -> None:
    receipts = {_reader(e): _at(e) for e in message["extension"] if e.get("url") == RECEIPT}
    readers = {r.get("reference") for r in message.get("recipient", ())}
    if readers <= set(receipts) and message.get("status") == "in-progress":
        message["status"] = "completed"
    if message.get("status") == "completed":
        message["received"] = max(receipts.values(), key=lambda at: interval(at)[0])


def _receipt(user: str, read_at: datetime) -> Resource:
    return {
        "url": RECEIPT,
        "extension": [
            {"url": "reader", "valueReference": {"reference": user}},
            {"url": "readAt", "valueInstant": now_text(read_at)},
        ],
    }


def _part(extension: Resource, url: str) -> Any:
    parts = extension.get("extension", ()) if extension.get("url") == RECEIPT else ()
    return next((part for part in parts if part.get("url") == url), {})


def _reader(extension: Resource) -> str | None:
    reader: str | None = _part(extension, "reader").get("valueReference", {}).get("reference")
    return reader


def _at(extension: Resource) -> str:
    return str(_part(extension, "readAt").get("valueInstant"))


def _standing(message: Resource, user: str | None) -> str | None:
    receipts = (e for e in message.get("extension", ()) if user and _reader(e) == user)
    return next(map(_at, receipts), None)


def _answer(latest: Sequence[tuple[Ref, str | None]]) -> Resource:
    return {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "receipt",
                "part": [
                    {"name": "message", "valueReference": {"reference": f"{ref.type}/{ref.id}"}},
                    {"name": "readAt", "valueInstant": at},
                ],
            }
            for ref, at in latest
            if at
        ],
    }
