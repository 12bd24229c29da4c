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
Decisions are pure, so deciding again is always safe. Several plans go through all three steps
together, as one plan does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.definitions.model import Definitions
from fhir_server.fhir.json import parse
from fhir_server.fhir.reference import relative
from fhir_server.interactions.drafting import Drafting
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
    Seen,
    Snapshot,
)
from fhir_server.interactions.plan import HERE, Choice, Criteria, Place, Plan, Step, merged
from fhir_server.interactions.turns import in_turns
from fhir_server.interactions.versions import (
    change,
    guards,
    kept_answer,
    outbox_event,
    past,
    replayed,
    touching,
    with_stored,
)
from fhir_server.problems import Problem, conflict, forbidden
from fhir_server.store.access import Access
from fhir_server.store.commit import Committer, OvertakenError
from fhir_server.store.history import History
from fhir_server.store.index import Indexer
from fhir_server.store.load import Loader
from fhir_server.store.session import Session, Sessions
from fhir_server.store.write import Change, Past
from fhir_server.store.write.erasing import superseded

ATTEMPTS = 16
BUSY = "the resource is being changed by others at the same time; try again"
Decided = tuple[Step, Sequence[Draft], Result]
Choose = Callable[[Session], Awaitable[Choice]]


@dataclass(frozen=True, slots=True)
class Locking:
    """How a try holds what it reads: `rows` until the end of the transaction; `claims` on ids
    that are not there yet, which takes a transaction as well."""

    rows: bool = False
    claims: bool = False


OPTIMISTIC, CLAIMING, LOCKED = Locking(), Locking(claims=True), Locking(rows=True, claims=True)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything a write passes through; `base` is this server's own FHIR address."""

    definitions: Definitions
    drafting: Drafting
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
        step = self.prepared(ctx, plan, criteria)
        if not step.proven:
            with suppress(OvertakenError):
                async with self.sessions.session(ctx) as session:
                    return await self._one(session, ctx, step, idempotency, OPTIMISTIC)
        for _ in range(ATTEMPTS):
            with suppress(OvertakenError):
                async with self.sessions.session(ctx) as session, session.transaction():
                    return await self._one(session, ctx, step, idempotency, LOCKED)
        raise conflict(BUSY)

    async def write_chosen(
        self, ctx: Context, choose: Choose, idempotency: Idempotency | None = None
    ) -> Result:
        """As `write`, for a plan that is made of what `choose` finds in the same transaction."""
        for _ in range(ATTEMPTS):
            with suppress(OvertakenError):
                async with self.sessions.session(ctx) as session, session.transaction():
                    step = self.prepared(ctx, *await choose(session))
                    return await self._one(session, ctx, step, idempotency, LOCKED)
        raise conflict(BUSY)

    async def rehearsed(self, ctx: Context, plan: Plan) -> Draft:
        """The one draft of a plan as the rules complete it, whether or not the caller may write
        it; raises Problem where they, or R4, refuse it. Nothing is stored."""
        (draft,) = plan.previews()
        self.drafting.check_structure(draft)
        reads = merged([*plan.reads(), *self.drafting.reads(ctx, draft)])
        snapshot: Snapshot = {}
        if reads:
            async with self.sessions.session(ctx) as session:
                snapshot, _ = await self._load(session, ctx, reads, None, OPTIMISTIC)
                if named := merged(_named(reads.values(), snapshot)):
                    more, _ = await self._load(session, ctx, named, None, OPTIMISTIC)
                    snapshot = {**more, **snapshot}
        self.drafting.complete(ctx, draft, snapshot)
        return draft

    def own(self, resource: Resource) -> Resource:
        """Absolute references to this server as relative ones, so that rules, access policy and
        search mean the same resource. A Bundle's belong to its entries."""
        if self.base is None or resource.get("resourceType") == "Bundle":
            return resource
        found: Resource = relative(resource, self.base)
        return found

    def prepared(
        self, ctx: Context, plan: Plan, criteria: Criteria = (), place: Place = HERE
    ) -> Step:
        """The plan with all that it is known to read; 422 where its drafts are malformed."""
        limited = bool(criteria) or self.access.limits_writing(ctx, plan.type)
        proven = limited or not (ctx.is_system or self.drafting.registry.ruled(plan.type))
        with place:
            previews = tuple(plan.previews())
            reads = list(plan.reads())
            for draft in previews:
                self.drafting.check_structure(draft)
                reads += self.drafting.reads(ctx, draft)
        return Step(plan, tuple(criteria), merged(reads), proven, previews, place)

    async def _one(
        self,
        session: Session,
        ctx: Context,
        step: Step,
        idempotency: Idempotency | None,
        locking: Locking,
    ) -> Result:
        return (await self.run(session, ctx, [step], locking, idempotency=idempotency))[0]

    async def run(
        self,
        session: Session,
        ctx: Context,
        steps: Sequence[Step],
        locking: Locking,
        *,
        idempotency: Idempotency | None = None,
        taken: set[str] | None = None,
    ) -> list[Result]:
        """Decides and writes the steps together, in one transaction where there are several; their
        results in the same order. OvertakenError where another write came first. `taken` are
        the resources that the transaction wrote before, and get those of the steps."""
        reads = merged(read for step in steps for read in step.reads.values())
        snapshot, kept = await self._load(session, ctx, reads, idempotency, locking)
        if kept is not None:
            return [Result(replay=kept)]
        decided = [self._decided(step, snapshot) async for step in in_turns(steps)]
        missing = self._unread(ctx, decided, reads, snapshot)
        if missing:
            more, _ = await self._load(session, ctx, missing, None, locking)
            reads, snapshot = {**reads, **missing}, {**snapshot, **more}
        events, caused = await self._finished(ctx, decided, snapshot, taken)
        await self._within(session, ctx, decided, "create")
        bases = await self._bases(session, decided, locking)
        changes, results = await self._written(ctx, decided, bases)
        further = [change(ctx, self.indexer, draft, 0) for draft in caused]
        if further:
            changes += further
            results[0] = touching(results[0], caused, further)
        erased = await self._erased(
            session, [draft for _, drafts, _ in decided for draft in drafts]
        )
        await self.committer.commit(
            session,
            ctx,
            changes,
            guards(reads, snapshot, changes),
            [outbox_event(ctx, self.describe, event) for event in events],
            kept_answer(ctx, idempotency, results[0]),
            erased,
        )
        await self._within(session, ctx, decided, "delete")
        return results

    async def _finished(
        self,
        ctx: Context,
        decided: Iterable[Decided],
        snapshot: Mapping[Ref, Seen],
        taken: set[str] | None,
    ) -> tuple[list[Event], list[Draft]]:
        """What happens, and the drafts that it causes."""
        events: list[Event] = []
        further: list[Draft] = []
        async for step, drafts, _ in in_turns(decided):
            with step.place:
                _check_distinct(drafts, taken)
                for draft in drafts:
                    own = self.drafting.finish(ctx, draft, snapshot)
                    caused, theirs = self.drafting.caused(ctx, own, snapshot)
                    further += caused
                    events += [*own, *theirs]
        return events, further

    async def _written(
        self, ctx: Context, decided: Iterable[Decided], bases: Mapping[tuple[str, str], int]
    ) -> tuple[list[Change], list[Result]]:
        """The versions to store, and what each step led to."""
        written: list[Change] = []
        results: list[Result] = []
        async for _, drafts, result in in_turns(decided):
            made = [draft for draft in drafts if draft.kind != "erase"]
            changes = [change(ctx, self.indexer, d, bases[d.type, d.id]) for d in made]
            written += changes
            results.append(touching(with_stored(result, made, changes), made, changes))
        return written, results

    def _decided(self, step: Step, snapshot: Mapping[Ref, Seen]) -> Decided:
        with step.place:
            drafts, result = step.plan.decide(snapshot)
            for draft in drafts if not step.previews else ():
                self.drafting.check_structure(draft)
        _recall(step.previews, drafts)
        return step, drafts, result

    async def _load(
        self,
        session: Session,
        ctx: Context,
        reads: Mapping[Ref, Read],
        idempotency: Idempotency | None,
        locking: Locking,
    ) -> tuple[dict[Ref, Seen], Answer | None]:
        refs = [(ref.type, ref.id) for ref in reads if ref.type in self.definitions.types]
        keys = list(idempotency.lifetimes) if idempotency else []
        if locking.claims:
            claimed = [(ref.type, ref.id) for ref, read in reads.items() if read.claim]
            await self.loader.claim(session, ctx, claimed)
        loaded = await self.loader.load(session, ctx, refs, keys, lock=locking.rows)
        if loaded.kept and idempotency is not None:
            return {}, replayed(loaded.kept, idempotency)
        return {
            Ref(row.stored.type, row.stored.id): Seen(
                row.stored, parse(row.stored.body), row.allowed
            )
            for row in loaded.rows
        }, None

    async def _within(
        self, session: Session, ctx: Context, decided: Iterable[Decided], without: str
    ) -> None:
        """403 where the access policy, or the scopes' criteria, would not show the caller a
        resource as it lies in the store, or not let him write such a one. Types whose rules decide
        need the criteria only."""
        groups: dict[tuple[str, Criteria], dict[str, Place]] = defaultdict(dict)
        for step, drafts, _ in decided:
            for draft in drafts if step.proven else ():
                if draft.kind != without:
                    groups[draft.type, step.criteria][draft.id] = step.place
        for (resource_type, criteria), places in groups.items():
            hidden = await self.access.hidden(session, ctx, resource_type, places, criteria)
            for id in hidden:
                with places[id]:
                    raise forbidden("your role and scopes do not cover this resource")

    async def _erased(self, session: Session, drafts: Iterable[Draft]) -> list[Past]:
        """The earlier versions that are overwritten. They cannot become more: a version joins them
        only when the one that is being superseded here changes."""
        erasing = [draft for draft in drafts if draft.erases]
        if not erasing:
            return []
        ids: dict[str, list[str]] = defaultdict(list)
        for draft in erasing:
            if draft.kind != "erase":
                ids[draft.type].append(draft.id)
        found: dict[tuple[str, str], list[tuple[int, bytes]]] = defaultdict(list)
        for type_, listed in ids.items():
            for id, version, body in await superseded(session, type_, listed):
                found[type_, id].append((version, body))
        return [one for draft in erasing for one in past(draft, found[draft.type, draft.id])]

    async def _bases(
        self, session: Session, decided: Iterable[Decided], locking: Locking
    ) -> dict[tuple[str, str], int]:
        """The versions before those being made; a deleted resource goes on counting."""
        found: dict[tuple[str, str], int] = {}
        chosen: dict[str, list[str]] = defaultdict(list)
        for draft in (draft for _, drafts, _ in decided for draft in drafts):
            found[draft.type, draft.id] = draft.base.stored.version if draft.base else 0
            if draft.chosen_id:
                chosen[draft.type].append(draft.id)
        if chosen and not locking.claims:
            # Their numbers rest on the history, which only a claim keeps from growing.
            raise OvertakenError
        for resource_type, ids in chosen.items():
            last = await self.history.last_superseded(session, resource_type, ids)
            found |= {(resource_type, id): version for id, version in last.items()}
        return found

    def _unread(
        self,
        ctx: Context,
        decided: Iterable[Decided],
        reads: Mapping[Ref, Read],
        snapshot: Snapshot,
    ) -> dict[Ref, Read]:
        wanted = (
            read
            for _, drafts, _ in decided
            for draft in drafts
            for read in self.drafting.reads(ctx, draft)
        )
        further = [*wanted, *_named(reads.values(), snapshot)]
        return merged(read for read in further if read.ref not in reads)


def _named(reads: Iterable[Read], snapshot: Snapshot) -> Iterator[Read]:
    """What the resources that were read name."""
    for read in reads:
        if read.names and read.ref in snapshot:
            yield from map(Read, read.names(snapshot[read.ref].resource))


def _recall(previews: Sequence[Draft], drafts: Iterable[Draft]) -> None:
    """A new resource has the profiles of its preview, whose content is the same."""
    for preview, draft in zip(previews, drafts, strict=False):
        if draft.base is None and draft.id == preview.id and preview.profiles is not None:
            draft.profiles = list(preview.profiles)


def _check_distinct(drafts: Iterable[Draft], taken: set[str] | None) -> None:
    """https://hl7.org/fhir/R4/http.html#trules"""
    if taken is None:
        return
    for draft in drafts:
        if draft.reference in taken:
            raise Problem(400, "invalid", "another entry writes the same resource")
        taken.add(draft.reference)
