"""Finished drafts as the store takes them: versions, guards, events, kept answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from fhir_server.context import Context
from fhir_server.fhir.ids import new_id
from fhir_server.fhir.instant import now_text
from fhir_server.fhir.json import dumps, parse
from fhir_server.interactions.model import (
    Answer,
    Describe,
    Draft,
    Event,
    Idempotency,
    Read,
    Ref,
    Resource,
    Result,
    Snapshot,
)
from fhir_server.problems import Problem, gone
from fhir_server.store.index import Indexer
from fhir_server.store.stored import Stored
from fhir_server.store.write import Change, Guard, KeptAnswer, OutboxEvent, Past
from fhir_server.store.write.erasing import ERASED


def change(ctx: Context, indexer: Indexer, draft: Draft, base: int) -> Change:
    """The version after `base`."""
    version = base + 1
    if draft.kind == "erase":
        raise ValueError("an earlier version is no change")
    if draft.kind == "delete":
        gone = Stored(draft.type, draft.id, version, ctx.now, b"")
        return Change("delete", gone, None, base)
    body = dumps(_stamped(ctx, draft, version))
    stored = Stored(draft.type, draft.id, version, ctx.now, body, draft.made)
    row = indexer.row(ctx.tenant, draft.type, draft.resource)
    return Change(draft.kind, stored, row, base)


def past(draft: Draft, superseded: Iterable[tuple[int, bytes]]) -> Iterator[Past]:
    """The earlier versions that the draft overwrites."""
    if draft.kind == "erase" and draft.version is not None:
        yield Past(draft.type, draft.id, draft.version, dumps(draft.resource))
    elif draft.erases and draft.base:
        bodies = ((version, parse(body)) for version, body in superseded)
        for version, resource in (*bodies, (draft.base.stored.version, draft.base.resource)):
            yield Past(draft.type, draft.id, version, dumps(draft.erases(resource)))


def outbox_event(ctx: Context, describe: Describe, event: Event) -> OutboxEvent:
    """Under an id of its own."""
    draft = event.draft
    data = describe(event.type, draft.resource)
    return OutboxEvent(new_id(), event.type, draft.reference, ctx.now, data)


def with_stored(result: Result, drafts: Sequence[Draft], changes: Sequence[Change]) -> Result:
    """The result of a plan that wrote one resource tells it."""
    if len(changes) != 1 or result.parameters is not None:
        return result
    return replace(
        result,
        stored=changes[0].stored,
        resource=drafts[0].resource,
        created=drafts[0].kind == "create",
    )


def touching(result: Result, drafts: Sequence[Draft], changes: Sequence[Change]) -> Result:
    """The result with the versions that came about, for those who keep the audit trail."""
    if not changes:
        return result
    touched = [_touched(*both) for both in zip(drafts, changes, strict=True)]
    return replace(result, touched=[*result.touched, *touched])


def _touched(draft: Draft, change: Change) -> Stored:
    if change.kind == "delete" and draft.base is not None:
        return change.stored._replace(body=draft.base.stored.body)
    return change.stored


def guards(reads: Mapping[Ref, Read], snapshot: Snapshot, changes: Sequence[Change]) -> list[Guard]:
    """Of what is read and not changed itself."""
    guarded = [ref for ref, read in reads.items() if read.guard and ref in snapshot]
    if not guarded:
        return []
    changed = {(change.stored.type, change.stored.id) for change in changes}
    return [
        Guard(ref.type, ref.id, snapshot[ref].stored.version)
        for ref in sorted(guarded)
        if (ref.type, ref.id) not in changed
    ]


def replayed(found: Sequence[KeptAnswer], idempotency: Idempotency) -> Answer:
    """The earlier answer; 422 where a key was another request's, 410 where it was erased."""
    if any(kept.fingerprint != idempotency.fingerprint for kept in found):
        raise Problem(422, "duplicate", "the Idempotency-Key was used for another request")
    if found[0].status == ERASED:
        raise gone("what this request led to")
    return Answer(found[0].status, found[0].body, found[0].headers)


def kept_answer(ctx: Context, idempotency: Idempotency | None, result: Result) -> KeptAnswer | None:
    """The answer to keep."""
    if idempotency is None:
        return None
    answer = idempotency.render(result)
    return KeptAnswer(
        ctx.subject,
        idempotency.fingerprint,
        answer.status,
        answer.headers,
        answer.body,
        {key: ctx.now + lifetime for key, lifetime in idempotency.lifetimes.items()},
    )


def _stamped(ctx: Context, draft: Draft, version: int) -> Resource:
    """The resource in served order: type, id, meta as the server says, then the rest."""
    resource = draft.resource
    meta = {**resource.pop("meta", {})}
    meta["versionId"], meta["lastUpdated"] = str(version), now_text(ctx.now)
    resource.pop("id", None)
    rest = {key: value for key, value in resource.items() if key != "resourceType"}
    draft.resource = {"resourceType": draft.type, "id": draft.id, "meta": meta, **rest}
    return draft.resource
