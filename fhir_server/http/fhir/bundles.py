"""batch and transaction: a Bundle of requests, answered by a Bundle of answers.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from fhir_server.context import Context
from fhir_server.fhir.bundle import Answer, responses
from fhir_server.fhir.ids import is_id
from fhir_server.fhir.instant import now_text
from fhir_server.http.auth.scopes import narrowing
from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.entries import (
    BundleEntry,
    Limits,
    frame,
    kind_of,
    read_entries,
)
from fhir_server.http.fhir.replies import CONTENT, refused
from fhir_server.http.fhir.service import Service
from fhir_server.http.fhir.writes import WRITES
from fhir_server.http.wire import Reply, Request
from fhir_server.interactions import Asked, Entry, Intent, Interactions
from fhir_server.interactions.turns import in_turns
from fhir_server.problems import Problem, invalid

__all__ = ["Bundles", "Limits", "Routed"]


@dataclass(frozen=True, slots=True)
class Routed:
    """A request that has found its interaction; `reply` carries it out."""

    interaction: str
    call: Call
    reply: Callable[[Service], Awaitable[Reply]]


# Interactions with a body.
HOLDING = frozenset(name for name in WRITES if not name.endswith("delete"))
_METHODS: Mapping[str, str] = {
    "GET": "read",
    "HEAD": "read",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
# Finds the interaction of a request; Problem where there is none.
Route = Callable[[Request, Context], Routed]


@dataclass(frozen=True, slots=True)
class Bundles:
    """Carries out Bundles by the face's own table."""

    service: Service
    route: Route
    limits: Limits
    kinds: frozenset[str]

    async def answer(self, request: Request, ctx: Context, base: str) -> Reply:
        """Always 200 for a batch; for a transaction, 200 or the refusal of one entry."""
        whole = replace(request, limit=max(request.limit, self.limits.size))
        call = Call(whole, ctx, "Bundle", "", "", base)
        call.check_accept()
        bundle = await call.resource()
        kind = kind_of(bundle)
        if kind not in self.kinds:
            raise Problem(
                400, "not-supported", f"there is no {kind} here", expression="Bundle.type"
            )
        entries = read_entries(bundle, self.limits.entries)
        self.service.interactions.check(frame(bundle))
        carried_out = self._transaction if kind == "transaction" else self._batch
        answers = await carried_out(request, ctx, base, entries)
        return Reply(200, responses(kind, answers), CONTENT)

    async def _batch(
        self, outer: Request, ctx: Context, base: str, entries: Sequence[BundleEntry]
    ) -> list[Answer]:
        """Each by itself, at its own time."""
        return [await self._single(outer, _at_its_time(ctx), base, entry) for entry in entries]

    async def _single(self, outer: Request, ctx: Context, base: str, entry: BundleEntry) -> Answer:
        routed: Routed | None = None
        try:
            with entry.place:
                routed = self._routed(outer, ctx, base, entry)
                return told(routed, await routed.reply(self.service))
        except Problem as problem:
            of = asked(entry.request(outer, base), ctx, routed)
            await self.service.interactions.audit.unless_told(of, problem)
            reply = refused(problem)
            return Answer(_status(reply.status), outcome=reply.body)

    async def _transaction(
        self, outer: Request, ctx: Context, base: str, entries: Sequence[BundleEntry]
    ) -> list[Answer]:
        """All of them, or Problem."""
        reads: dict[int, Routed] = {}
        writes: dict[int, Routed] = {}
        members: list[Entry] = []
        async for entry in in_turns(entries):
            with entry.place:
                routed = self._routed(outer, ctx, base, entry)
                if entry.method in ("GET", "HEAD"):
                    reads[entry.at] = routed
                else:
                    writes[entry.at] = routed
                    intent = await self._intent(routed)
                    members.append(Entry(intent, entry.full_url, entry.place))
        results, answers = await self.service.interactions.transaction(
            ctx,
            members,
            lambda name: narrowing(ctx, name, "search-type"),
            lambda interactions: self._read(interactions, entries, reads),
        )
        for (at, routed), result in zip(writes.items(), results, strict=True):
            answers[at] = told(routed, WRITES[routed.interaction].answer(routed.call, result))
        return [answers[entry.at] for entry in entries]

    async def _intent(self, routed: Routed) -> Intent:
        write = WRITES.get(routed.interaction)
        if write is None:
            why = f"a transaction takes no {routed.interaction}; send it by itself"
            raise Problem(400, "not-supported", why)
        return await write.intent(self.service, routed.call)

    async def _read(
        self,
        interactions: Interactions,
        entries: Sequence[BundleEntry],
        reads: Mapping[int, Routed],
    ) -> dict[int, Answer]:
        """What is asked for, as the transaction leaves it."""
        service = replace(self.service, interactions=interactions)
        found = {}
        for at, routed in reads.items():
            with entries[at].place:
                found[at] = told(routed, await routed.reply(service))
        return found

    def _routed(self, outer: Request, ctx: Context, base: str, entry: BundleEntry) -> Routed:
        routed = self.route(entry.request(outer, base), ctx)
        entry.check_size(outer.limit)
        if entry.resource is None and routed.interaction in HOLDING:
            raise invalid(f"{routed.interaction} needs a resource", "resource")
        routed.call.given = entry.given
        return routed


def asked(request: Request, ctx: Context, routed: Routed | None) -> Asked:
    """What a request asks for, as far as it was understood, for the audit trail."""
    if routed is None:
        return Asked(ctx, _METHODS.get(request.method, "operation"))
    call = routed.call
    return Asked(ctx, routed.interaction, call.type, call.id if is_id(call.id) else "")


def _at_its_time(ctx: Context) -> Context:
    """An entry's own: it happens now, and is recorded by itself."""
    origin = ctx.origin and replace(ctx.origin, told=0)
    return replace(ctx, now=datetime.now(UTC), origin=origin)


def told(routed: Routed, reply: Reply) -> Answer:
    """A reply as an entry of the answer."""
    headers = reply.headers
    outcome = reply.status >= HTTPStatus.BAD_REQUEST or (
        routed.interaction in WRITES
        and reply.body.startswith(b'{"resourceType":"OperationOutcome"')
    )
    body = reply.body if routed.call.request.method != "HEAD" else b""
    return Answer(
        _status(reply.status),
        headers.get("location"),
        headers.get("etag"),
        _modified(reply, headers),
        body=None if outcome else body or None,
        outcome=body or None if outcome else None,
        full_url=_full_url(headers.get("location")) if body and not outcome else None,
    )


def _status(code: int) -> str:
    return f"{code} {HTTPStatus(code).phrase}"


def _modified(reply: Reply, headers: Mapping[str, str]) -> str | None:
    if reply.updated is not None:
        return now_text(reply.updated)
    told_by = headers.get("last-modified")
    return now_text(parsedate_to_datetime(told_by)) if told_by else None


def _full_url(location: str | None) -> str | None:
    return location.partition("/_history/")[0] if location else None
