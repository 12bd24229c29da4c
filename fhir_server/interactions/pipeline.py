"""The one way to write: load, decide, validate, commit.

Every write of every face, worker and operation is a `Plan`: which rows it must see, and a pure
decision on them that yields drafts. The pipeline

1. loads those rows, the rows that the rules of the drafts' profiles want to see, and the caller's
   idempotency key, in one statement,
2. checks each draft against the R4 definitions, lets the rules complete or refuse it, and checks
   it against its profiles,
3. writes drafts, superseded versions, search columns, events and the idempotent answer in one
   statement (several drafts: one transaction), which locks the rows of step 1 and verifies that
   they still are the versions seen.

When they are not, nothing was written, and all three steps run again, now inside a transaction
that locks the rows as it loads them, so that the second try cannot fail the same way for long.
Decisions are pure, so deciding again is always safe.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from fhir_server.context import Context
from fhir_server.definitions.model import Definitions
from fhir_server.fhir.ids import new_id
from fhir_server.fhir.instant import now_text
from fhir_server.fhir.json import dumps, parse
from fhir_server.fhir.reference import relative
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
    Rule,
    Seen,
    Snapshot,
)
from fhir_server.interactions.registry import Registry
from fhir_server.problems import Issue, Problem, conflict, forbidden
from fhir_server.store.access import Access
from fhir_server.store.commit import Committer, OvertakenError
from fhir_server.store.history import History
from fhir_server.store.index import Indexer
from fhir_server.store.load import Loader
from fhir_server.store.session import Session, Sessions
from fhir_server.store.stored import Stored
from fhir_server.store.write import Change, Guard, KeptAnswer, OutboxEvent
from fhir_server.validation import Validator
from fhir_server.validation.options import Options

ATTEMPTS = 16
BUSY = "the resource is being changed by others at the same time; try again"
Criteria = Sequence[tuple[str, str]]
# Before the rules complete a draft, it need not be what its profiles ask for.
STRUCTURE = Options(claims=False)


class Plan(Protocol):
    """One intended write, to resources of one type."""

    @property
    def type(self) -> str:
        """The resource type."""

    def reads(self) -> Iterable[Read]:
        """The rows the decision rests on."""

    def previews(self) -> Iterable[Draft]:
        """The drafts, where their content does not depend on what is loaded."""

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """The drafts to write; with none, the result stands as it is."""


# The plan, and what the caller's scopes limit it to.
Choose = Callable[[Session], Awaitable[tuple[Plan, Criteria]]]


@dataclass(frozen=True, slots=True)
class _Attempt:
    ctx: Context
    plan: Plan
    reads: Mapping[Ref, Read]
    idempotency: Idempotency | None
    criteria: tuple[tuple[str, str], ...]
    proven: bool
    checked: bool


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything a write passes through; `base` is this server's own FHIR address."""

    definitions: Definitions
    registry: Registry
    validator: Validator
    sessions: Sessions
    access: Access
    loader: Loader
    history: History
    indexer: Indexer
    committer: Committer
    describe: Describe
    base: str | None = None

    async def write(
        self,
        ctx: Context,
        plan: Plan,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """Runs the plan; raises Problem, and then nothing is stored.

        `criteria` are what the caller's scopes limit the write to, before and after it.
        """
        attempt = self._prepared(ctx, plan, idempotency, criteria)
        if not attempt.proven:
            with suppress(OvertakenError):
                async with self.sessions.session(ctx) as session:
                    return await self._attempt(session, attempt)
        for _ in range(ATTEMPTS):
            with suppress(OvertakenError):
                async with self.sessions.session(ctx) as session, session.transaction():
                    return await self._attempt(session, attempt, lock=True)
        raise conflict(BUSY)

    async def write_chosen(
        self, ctx: Context, choose: Choose, idempotency: Idempotency | None = None
    ) -> Result:
        """As `write`, for a plan that is made of what `choose` finds in the same transaction."""
        for _ in range(ATTEMPTS):
            with suppress(OvertakenError):
                async with self.sessions.session(ctx) as session, session.transaction():
                    plan, criteria = await choose(session)
                    attempt = self._prepared(ctx, plan, idempotency, criteria)
                    return await self._attempt(session, attempt, lock=True)
        raise conflict(BUSY)

    def own(self, resource: Resource) -> Resource:
        """Absolute references to this server as relative ones, so that rules, access policy and
        search mean the same resource. A Bundle's belong to its entries."""
        if self.base is None or resource.get("resourceType") == "Bundle":
            return resource
        found: Resource = relative(resource, self.base)
        return found

    def check(self, resource: Resource) -> None:
        """Refuses with 422 what R4 does not allow."""
        _refuse(self.validator.validate(resource, ()))

    def _prepared(
        self, ctx: Context, plan: Plan, idempotency: Idempotency | None, criteria: Criteria
    ) -> _Attempt:
        proven = bool(criteria) or not (ctx.is_system or self.registry.ruled(plan.type))
        previews = tuple(plan.previews())
        reads = self._reads(ctx, plan, previews)
        checked = bool(previews)
        return _Attempt(ctx, plan, reads, idempotency, tuple(criteria), proven, checked)

    def _reads(self, ctx: Context, plan: Plan, previews: Iterable[Draft]) -> dict[Ref, Read]:
        reads = {read.ref: read for read in plan.reads()}
        for draft in previews:
            self._check_structure(draft)
            reads |= {read.ref: read for read in self._rule_reads(ctx, draft)}
        return reads

    async def _attempt(self, session: Session, this: _Attempt, *, lock: bool = False) -> Result:
        ctx, reads = this.ctx, this.reads
        snapshot, kept = await self._load(session, ctx, reads, this.idempotency, lock=lock)
        if kept is not None:
            return Result(replay=kept)
        drafts, result = this.plan.decide(snapshot)
        for draft in drafts:
            if not this.checked and draft.kind != "delete":
                self._check_structure(draft)
        missing = self._unread(ctx, drafts, reads)
        if missing:
            more, _ = await self._load(session, ctx, missing, None, lock=lock)
            snapshot = {**snapshot, **more}
        events = [event for draft in drafts for event in self._finish(ctx, draft, snapshot)]
        await self._within(session, this, [d.reference for d in drafts if d.kind != "create"])
        changes = [self._change(ctx, d, await self._base(session, d, lock=lock)) for d in drafts]
        result = _with_stored(result, drafts, changes)
        await self.committer.commit(
            session,
            ctx,
            changes,
            _guards({**reads, **missing}, snapshot, changes),
            [self._outbox(ctx, event) for event in events],
            _kept(ctx, this.idempotency, result),
        )
        await self._within(session, this, [d.reference for d in drafts if d.kind != "delete"])
        return result

    async def _load(
        self,
        session: Session,
        ctx: Context,
        reads: Mapping[Ref, Read],
        idempotency: Idempotency | None,
        *,
        lock: bool,
    ) -> tuple[dict[Ref, Seen], Answer | None]:
        refs = [(ref.type, ref.id) for ref in reads if ref.type in self.definitions.types]
        key = idempotency.key if idempotency else None
        if lock:
            for ref in (ref for ref, read in reads.items() if read.claim):
                await self.loader.claim(session, ctx, ref.type, ref.id)
        loaded = await self.loader.load(session, ctx, refs, key, lock=lock)
        if loaded.kept is not None and idempotency is not None:
            return {}, _replayed(loaded.kept, idempotency)
        return {
            Ref(row.stored.type, row.stored.id): Seen(
                row.stored, parse(row.stored.body), row.allowed
            )
            for row in loaded.rows
        }, None

    async def _within(self, session: Session, this: _Attempt, references: Sequence[str]) -> None:
        """403 where the access policy, or the scopes' criteria, would not show the caller a
        resource as it lies in the store. Types whose rules decide need the criteria only."""
        if not this.proven:
            return
        for reference in references:
            resource_type, id = reference.split("/")
            query = self.access.read_statement(this.ctx, resource_type, id, this.criteria)
            rows = await session.fetch(*query)
            if rows and not rows[0][-1]:
                raise forbidden("your role and scopes do not cover this resource")

    async def _base(self, session: Session, draft: Draft, *, lock: bool) -> int:
        """The version before the one being made; a deleted resource goes on counting."""
        if draft.base:
            return draft.base.stored.version
        if draft.chosen_id:
            if not lock:
                # Its number rests on the history, which only a claim keeps from growing.
                raise OvertakenError
            return await self.history.last_superseded(session, draft.type, draft.id)
        return 0

    def _unread(
        self, ctx: Context, drafts: Iterable[Draft], reads: Mapping[Ref, Read]
    ) -> dict[Ref, Read]:
        wanted = (read for draft in drafts for read in self._rule_reads(ctx, draft))
        return {read.ref: read for read in wanted if read.ref not in reads}

    def _rule_reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        for rule in self._rules(draft):
            yield from rule.reads(ctx, draft)

    def _rules(self, draft: Draft) -> list[Rule]:
        return self.registry.rules(draft.type, self._profiles(draft))

    def _profiles(self, draft: Draft) -> list[str]:
        if not draft.profiles:
            found = self.registry.profiles(draft.type, draft.resource)
            # What it was still counts: a thread is not freed of its rules by a change, nor made
            # something that the next change would find free of them.
            before = self.registry.bound(draft.type, draft.base.resource) if draft.base else ()
            draft.profiles = list(dict.fromkeys([*found, *before]))
        return draft.profiles

    def _finish(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> list[Event]:
        self._check_rights(ctx, draft)
        rules = self._rules(draft)
        for rule in rules:
            rule.complete(ctx, draft, snapshot)
        if draft.kind != "delete":
            self._check_profiles(draft)
        return [event for rule in rules for event in rule.events(ctx, draft, snapshot)]

    def _check_structure(self, draft: Draft) -> None:
        _refuse(self.validator.validate(draft.resource, (), STRUCTURE))

    def _check_profiles(self, draft: Draft) -> None:
        if draft.profiles:
            draft.resource["meta"] = {**draft.resource.get("meta", {}), "profile": draft.profiles}
            _refuse(self.validator.validate(draft.resource, draft.profiles))

    def _check_rights(self, ctx: Context, draft: Draft) -> None:
        if not self.access.may_write(ctx, draft.type):
            raise forbidden(f"your role may not write {draft.type}")
        if draft.base and not draft.base.allowed:
            raise forbidden(f"{draft.reference} is not open to you")

    def _outbox(self, ctx: Context, event: Event) -> OutboxEvent:
        draft = event.draft
        data = self.describe(event.type, draft.resource)
        return OutboxEvent(new_id(), event.type, draft.reference, ctx.now, data)

    def _change(self, ctx: Context, draft: Draft, base: int) -> Change:
        version = base + 1
        if draft.kind == "delete":
            gone = Stored(draft.type, draft.id, version, ctx.now, b"")
            return Change("delete", gone, None, base)
        body = dumps(_stamped(ctx, draft, version))
        stored = Stored(draft.type, draft.id, version, ctx.now, body, draft.made)
        row = self.indexer.row(ctx.tenant, draft.type, draft.resource)
        return Change(draft.kind, stored, row, base)


def _stamped(ctx: Context, draft: Draft, version: int) -> Resource:
    """The resource in served order: type, id, meta as the server says, then the rest."""
    resource = draft.resource
    meta = {**resource.pop("meta", {})}
    meta["versionId"], meta["lastUpdated"] = str(version), now_text(ctx.now)
    resource.pop("id", None)
    rest = {key: value for key, value in resource.items() if key != "resourceType"}
    draft.resource = {"resourceType": draft.type, "id": draft.id, "meta": meta, **rest}
    return draft.resource


def _refuse(issues: Sequence[Issue]) -> None:
    errors = [issue for issue in issues if issue.severity in ("fatal", "error")]
    if errors:
        raise Problem(422, errors[0].code, errors[0].diagnostics, issues=errors)


def _with_stored(result: Result, drafts: Sequence[Draft], changes: Sequence[Change]) -> Result:
    if len(changes) != 1 or result.parameters is not None:
        return result
    return replace(
        result,
        stored=changes[0].stored,
        resource=drafts[0].resource,
        created=drafts[0].kind == "create",
    )


def _guards(
    reads: Mapping[Ref, Read], snapshot: Snapshot, changes: Sequence[Change]
) -> list[Guard]:
    changed = {(change.stored.type, change.stored.id) for change in changes}
    return [
        Guard(ref.type, ref.id, snapshot[ref].stored.version)
        for ref, read in sorted(reads.items())
        if read.guard and ref in snapshot and (ref.type, ref.id) not in changed
    ]


def _replayed(kept: KeptAnswer, idempotency: Idempotency) -> Answer:
    if kept.fingerprint != idempotency.fingerprint:
        raise Problem(422, "duplicate", "the Idempotency-Key was used for another request")
    return Answer(kept.status, kept.body, kept.headers)


def _kept(ctx: Context, idempotency: Idempotency | None, result: Result) -> KeptAnswer | None:
    if idempotency is None:
        return None
    answer = idempotency.render(result)
    return KeptAnswer(
        ctx.subject,
        idempotency.key,
        idempotency.fingerprint,
        answer.status,
        answer.headers,
        answer.body,
        ctx.now + idempotency.lifetime,
    )
