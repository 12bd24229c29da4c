"""The FHIR interactions, one file each, and the facade that both faces and the workers call.

Nothing else reads or writes resources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.fhir.ids import new_id
from fhir_server.interactions.conditional import Condition, Conditional
from fhir_server.interactions.create import Create, check_type
from fhir_server.interactions.delete import Delete
from fhir_server.interactions.history import Historian, TimelinePage
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
from fhir_server.interactions.read import HistoryPage, Reader
from fhir_server.interactions.search import Searcher
from fhir_server.interactions.update import Update
from fhir_server.interactions.validate import Validate
from fhir_server.store.history import LAST
from fhir_server.store.search.page import Derived, Page, Reach
from fhir_server.store.search.planner import Handling
from fhir_server.store.span import ALWAYS, Span
from fhir_server.store.stored import Stored

__all__ = [
    "Answer",
    "Condition",
    "Conditional",
    "Derived",
    "Draft",
    "Event",
    "HistoryPage",
    "Idempotency",
    "Interactions",
    "Page",
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
]

Criteria = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Interactions:
    """What can be done with resources. Every refusal is a Problem.

    `criteria` are search criteria that a token's scopes narrow the interaction to.
    """

    pipeline: Pipeline
    reader: Reader
    searcher: Searcher
    checker: Validate
    conditional: Conditional
    historian: Historian

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
        check_type(type, resource)
        plan = Create(type, new_id(), self.pipeline.own(resource))
        return await self.pipeline.write(ctx, plan, idempotency, criteria)

    async def read(self, ctx: Context, type: str, id: str, *, criteria: Criteria = ()) -> Stored:
        """The current version; 404, 403 or 410 otherwise."""
        return await self.reader.read(ctx, type, id, criteria)

    async def vread(
        self, ctx: Context, type: str, id: str, version: int, *, criteria: Criteria = ()
    ) -> Stored:
        """One version."""
        return await self.reader.vread(ctx, type, id, version, criteria)

    async def history(
        self,
        ctx: Context,
        type: str,
        id: str,
        *,
        before: int = LAST,
        limit: int = 20,
        span: Span = ALWAYS,
        criteria: Criteria = (),
    ) -> HistoryPage:
        """Versions, newest first."""
        return await self.reader.versions(
            ctx, type, id, before=before, limit=limit, span=span, criteria=criteria
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
        return await self.historian.versions(
            ctx, types, span=span, reach=reach, limit=limit, cursor=cursor
        )

    async def update(
        self,
        ctx: Context,
        type: str,
        id: str,
        resource: Resource,
        *,
        if_match: str | None = None,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """Replaces the resource; a system client may create it so."""
        own = self.pipeline.own(resource)
        plan = Update(ctx, Ref(type, id), lambda _: own, if_match, create=True, preview=own)
        return await self.pipeline.write(ctx, plan, idempotency, criteria)

    async def patch(
        self,
        ctx: Context,
        type: str,
        id: str,
        change: Callable[[Resource], Resource],
        *,
        if_match: str | None = None,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """Replaces the resource by `change` of its current version; `change` must be pure."""
        if criteria:
            # Why a change cannot be done may tell what a resource holds.
            await self.reader.read(ctx, type, id, criteria)
        own = self.pipeline.own
        plan = Update(ctx, Ref(type, id), lambda seen: own(change(seen)), if_match)
        return await self.pipeline.write(ctx, plan, idempotency, criteria)

    async def delete(
        self,
        ctx: Context,
        type: str,
        id: str,
        *,
        if_match: str | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """Deletes it; again is no error."""
        return await self.pipeline.write(ctx, Delete(Ref(type, id), if_match), None, criteria)

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
        return await self.searcher.search(
            ctx,
            type,
            params,
            handling=handling,
            derived=derived,
            required=required,
            reach=reach,
            compartment=compartment,
        )

    def check(self, resource: Resource) -> None:
        """Refuses with 422 what R4 does not allow; nothing is stored."""
        self.pipeline.check(resource)

    def validate(self, type: str, resource: Resource, profile: str | None = None) -> Resource:
        """$validate: an OperationOutcome; nothing is stored."""
        return self.checker.outcome(type, resource, profile)

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
        operation = self.pipeline.registry.operation(type, name)
        self.pipeline.check(parameters)
        plan = Invoke(ctx, operation, id, self.pipeline.own(parameters))
        return await self.pipeline.write(ctx, plan, idempotency, criteria)
