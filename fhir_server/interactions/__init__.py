"""The FHIR interactions, one file each, and the facade that both faces and the workers call.

Nothing else reads or writes resources.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from fhir_server.context import Context
from fhir_server.interactions.audit import Asked, Audit, record
from fhir_server.interactions.audit.intents import asked, carried_out
from fhir_server.interactions.everything import Gatherer
from fhir_server.interactions.history import Historian, TimelinePage
from fhir_server.interactions.intents import Condition, Intent, Intents
from fhir_server.interactions.model import (
    Answer,
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
from fhir_server.interactions.operation import Invoke
from fhir_server.interactions.pipeline import Pipeline
from fhir_server.interactions.plan import Plan
from fhir_server.interactions.read import HistoryPage, Reader
from fhir_server.interactions.search import Searcher
from fhir_server.interactions.transaction import Entry, Transactions
from fhir_server.interactions.update import Known, Update
from fhir_server.interactions.validate import Validate
from fhir_server.interactions.writes import Writes
from fhir_server.store.everything import Everything, Wanted
from fhir_server.store.search.cursor import Place
from fhir_server.store.search.page import Derived, Page, Reach
from fhir_server.store.search.paging import Around
from fhir_server.store.search.planner import Handling
from fhir_server.store.session import Sessions
from fhir_server.store.span import ALWAYS, Span
from fhir_server.store.stored import Stored

__all__ = [
    "Answer",
    "Around",
    "Asked",
    "Condition",
    "Derived",
    "Draft",
    "Entry",
    "Event",
    "Everything",
    "Handling",
    "HistoryPage",
    "Idempotency",
    "Intent",
    "Interactions",
    "Page",
    "Place",
    "Read",
    "Ref",
    "Resource",
    "Result",
    "Rule",
    "Seen",
    "Snapshot",
    "Span",
    "Stored",
    "TimelinePage",
    "Wanted",
]

Criteria = Sequence[tuple[str, str]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Interactions:
    """What can be done with resources. Every refusal is a Problem.

    `criteria` are search criteria that a token's scopes narrow the interaction to.
    """

    pipeline: Pipeline
    intents: Intents
    writes: Writes
    reader: Reader
    searcher: Searcher
    checker: Validate
    historian: Historian
    transactions: Transactions
    gatherer: Gatherer
    audit: Audit

    async def write(
        self, ctx: Context, intent: Intent, *, idempotency: Idempotency | None = None
    ) -> Result:
        """What one of `intents` wants."""
        return await self.audit.of(
            asked(ctx, intent),
            lambda: self.writes.write(ctx, intent, idempotency),
            record.of_result,
        )

    async def transaction(
        self,
        ctx: Context,
        entries: Sequence[Entry],
        reach: Reach,
        then: Callable[[Interactions], Awaitable[T]],
    ) -> tuple[list[Result], T]:
        """All entries or none, and what `then` reads of them before the commit."""
        await self.audit.trail.room()
        held = self.audit.holding()
        try:
            results, read = await self.transactions.run(
                ctx, entries, reach, lambda sessions: then(self._on(sessions, held.anew()))
            )
        except BaseException as error:
            about = [asked(ctx, entry.intent) for entry in entries]
            await self.audit.undone(ctx, about, error, held)
            raise
        done = carried_out(ctx, [entry.intent for entry in entries], results)
        await self.audit.add(ctx, [*done, *held.records()])
        return results, read

    def _on(self, sessions: Sessions, audit: Audit) -> Interactions:
        """The same, reading by those sessions."""
        reader = replace(self.reader, sessions=sessions)
        return replace(
            self,
            audit=audit,
            reader=reader,
            searcher=replace(self.searcher, sessions=sessions),
            historian=replace(self.historian, sessions=sessions),
            gatherer=replace(self.gatherer, sessions=sessions, reader=reader),
        )

    async def create(
        self,
        ctx: Context,
        type: str,
        resource: Resource,
        *,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """A new resource under a new id."""
        intent = self.intents.create(type, resource, criteria=criteria)
        return await self.write(ctx, intent, idempotency=idempotency)

    async def read(self, ctx: Context, type: str, id: str, *, criteria: Criteria = ()) -> Stored:
        """The current version; 404, 403 or 410 otherwise."""
        return await self.audit.of(
            Asked(ctx, "read", type, id),
            lambda: self.reader.read(ctx, type, id, criteria),
            record.of_one,
        )

    async def vread(
        self, ctx: Context, type: str, id: str, version: int, *, criteria: Criteria = ()
    ) -> Stored:
        """One version."""
        return await self.audit.of(
            Asked(ctx, "vread", type, id),
            lambda: self.reader.vread(ctx, type, id, version, criteria),
            record.of_one,
        )

    async def history(
        self,
        ctx: Context,
        type: str,
        id: str,
        *,
        place: Place | None = None,
        limit: int = 20,
        span: Span = ALWAYS,
        criteria: Criteria = (),
    ) -> HistoryPage:
        """Versions, newest first."""
        return await self.audit.of(
            Asked(ctx, "history-instance", type, id),
            lambda: self.reader.versions(
                ctx, type, id, place=place, limit=limit, span=span, criteria=criteria
            ),
            lambda page: record.Given((f"{type}/{id}",), record.patients(page.versions)),
        )

    async def timeline(
        self,
        ctx: Context,
        types: Sequence[str],
        *,
        reach: Reach,
        span: Span = ALWAYS,
        limit: int = 20,
        cursor: str = "",
    ) -> TimelinePage:
        """Versions of all resources of `types`, newest first, as far as `reach` allows."""
        kind, about = ("history-type", types[0]) if len(types) == 1 else ("history-system", "")
        return await self.audit.of(
            Asked(ctx, kind, about),
            lambda: self.historian.versions(
                ctx, types, span=span, reach=reach, limit=limit, cursor=cursor
            ),
            lambda page: record.Given((), record.patients(page.versions)),
        )

    async def everything(
        self,
        ctx: Context,
        wanted: Wanted,
        *,
        reach: Reach,
        limit: int,
        cursor: str = "",
        criteria: Criteria = (),
    ) -> Everything:
        """A page of a compartment and of what its records refer to, as far as `reach` allows."""
        return await self.audit.of(
            Asked(ctx, "operation", wanted.kind, wanted.owner.partition("/")[2]),
            lambda: self.gatherer.everything(
                ctx, wanted, reach=reach, limit=limit, cursor=cursor, criteria=criteria
            ),
            lambda page: record.of_everything(wanted.owner, page),
        )

    async def update(
        self,
        ctx: Context,
        type: str,
        id: str,
        resource: Resource,
        *,
        if_match: Known | None = None,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """Replaces the resource; a system client may create it so."""
        intent = self.intents.update(
            ctx, Ref(type, id), resource, if_match=if_match, criteria=criteria
        )
        return await self.write(ctx, intent, idempotency=idempotency)

    async def patch(
        self,
        ctx: Context,
        type: str,
        id: str,
        change: Callable[[Resource], Resource],
        *,
        if_match: Known | None = None,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """Replaces the resource by `change` of its current version; `change` must be pure."""
        intent = self.intents.patch(
            ctx, Ref(type, id), None, lambda _: change, if_match=if_match, criteria=criteria
        )
        return await self.write(ctx, intent, idempotency=idempotency)

    async def replace(
        self,
        ctx: Context,
        type: str,
        id: str,
        change: Callable[[Resource], Resource],
        *,
        new: bool = False,
        if_match: str | None = None,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """Replaces the resource by `change` of its current version; `new` where it may be made of
        {} under an id that is the server's own choice. `change` must be pure."""
        own = self.pipeline.own
        plan = Update(
            ctx,
            Ref(type, id),
            lambda seen: own(change(seen)),
            if_match,
            create=new,
            ours=new,
            method="PUT",
        )
        return await self._planned(Asked(ctx, "update", type, id), plan, idempotency, criteria)

    async def _planned(
        self, what: Asked, plan: Plan, idempotency: Idempotency | None, criteria: Criteria
    ) -> Result:
        return await self.audit.of(
            what,
            lambda: self.pipeline.write(what.ctx, plan, idempotency, criteria),
            record.of_result,
        )

    async def delete(
        self,
        ctx: Context,
        type: str,
        id: str,
        *,
        if_match: Known | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """Deletes it; again is no error."""
        intent = self.intents.delete(Ref(type, id), if_match=if_match, criteria=criteria)
        return await self.write(ctx, intent)

    async def search(
        self,
        ctx: Context,
        type: str,
        params: Criteria,
        *,
        handling: Handling = "strict",
        derived: Sequence[Derived] = (),
        required: Criteria = (),
        reach: Reach | None = None,
        compartment: str | None = None,
    ) -> Page:
        """A page of matches and what it includes; `reach` limits every type it touches;
        `compartment` (`Patient/x`) is where the matches must lie."""
        return await self.audit.of(
            Asked(ctx, "search-type", type, params=params, owner=compartment or ""),
            lambda: self.searcher.search(
                ctx,
                type,
                params,
                handling=handling,
                derived=derived,
                required=required,
                reach=reach,
                compartment=compartment,
            ),
            # A worker looks whether there is something to do: nothing found is nothing seen.
            lambda page: record.of_page(page) if page.matches or ctx.face != "job" else None,
        )

    async def search_across(
        self,
        ctx: Context,
        types: Sequence[str],
        params: Criteria,
        *,
        handling: Handling = "strict",
        reach: Reach,
    ) -> Page:
        """A page of matches of several types, in one order."""
        return await self.audit.of(
            Asked(ctx, "search-system", params=params),
            lambda: self.searcher.search_across(ctx, types, params, handling=handling, reach=reach),
            record.of_page,
        )

    def check(self, resource: Resource) -> None:
        """Refuses with 422 what R4 does not allow; nothing is stored."""
        self.pipeline.drafting.check(resource)

    async def validate(
        self,
        ctx: Context,
        type: str,
        resource: Resource,
        profile: str | None = None,
        *,
        ruled: bool = True,
    ) -> Resource:
        """$validate: an OperationOutcome; nothing is stored. `ruled` where the rules may be asked
        too, which tell of other resources what creating this one would."""
        ruled = ruled and self.pipeline.access.may_write(ctx, type)
        return await self.audit.of(
            Asked(ctx, "operation", type),
            lambda: self.checker.outcome(ctx, type, resource, profile, ruled=ruled),
            lambda _: record.NOTHING,
        )

    async def operation(
        self,
        ctx: Context,
        name: str,
        type: str,
        id: str,
        parameters: Resource,
        *,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """Runs $name on Type/id; the result's `parameters` are its out Parameters."""
        operation = self.pipeline.drafting.registry.operation(type, name)
        self.pipeline.drafting.check(parameters)
        plan = Invoke(ctx, operation, id, self.pipeline.own(parameters))
        return await self._planned(Asked(ctx, "operation", type, id), plan, idempotency, criteria)
