"""Conditional create, update and delete: what is written depends on what a search finds.

Two clients that ask the same at the same moment must not both find nothing. So the search and the
write share one transaction. It first takes a lock on what the criteria mean, so that whoever asks
the same waits for its end; then it searches; then it locks what it found, which must still be the
version that was found, or all of it begins again.

The search is the caller's own, under the access policy and the token's scopes: what he may not
see is not found, and so what he writes tells him nothing about it.
https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.fhir.ids import is_id, new_id
from fhir_server.fhir.json import parse
from fhir_server.interactions.create import Create, check_type
from fhir_server.interactions.found import Anew, Held, Nothing, Several
from fhir_server.interactions.model import Idempotency, Ref, Resource, Result
from fhir_server.interactions.pipeline import Criteria, Pipeline, Plan
from fhir_server.interactions.update import Change, Update, check_version
from fhir_server.problems import Problem, forbidden, invalid, not_found
from fhir_server.store.search import result
from fhir_server.store.search.page import Page, Reach
from fhir_server.store.search.planner import Planner
from fhir_server.store.session import Session
from fhir_server.store.stored import Stored

Choice = tuple[Plan, Criteria]


@dataclass(frozen=True, slots=True)
class Condition:
    """The search that decides; `reach` is what the caller's scopes limit each type to that it
    touches, and at most `count` matches may be meant."""

    type: str
    where: Criteria
    reach: Reach | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Conditional:
    """The interactions that a condition decides. `criteria` are what the scopes limit the write
    to. Problem 400 for criteria that are none, 412 where more match than may be meant."""

    pipeline: Pipeline
    planner: Planner

    async def create(
        self,
        ctx: Context,
        condition: Condition,
        resource: Resource,
        *,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """A new resource, or the one there is: then `created` is false."""
        check_type(condition.type, resource)
        own = self.pipeline.own(resource)

        def choose(page: Page) -> Choice:
            there = _single(page)
            if there is not None:
                return Nothing(condition.type, _as_it_is(there)), ()
            return Create(condition.type, new_id(), own), criteria

        return await self._write(ctx, condition, choose, idempotency)

    async def update(
        self,
        ctx: Context,
        condition: Condition,
        resource: Resource,
        *,
        creating: Callable[[], Criteria] = tuple,
        if_match: str | None = None,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """A new version of the match, or a new resource, which takes the right `creating`; a
        system client may choose its id."""
        check_type(condition.type, resource)
        own = self.pipeline.own(resource)

        def choose(page: Page) -> Choice:
            there = _single(page)
            if there is None:
                check_version(None, if_match)
                return _first(ctx, condition.type, own), creating()
            _check_same(there, own)
            return _changed(ctx, there, lambda _: own, if_match), criteria

        return await self._write(ctx, condition, choose, idempotency)

    async def patch(
        self,
        ctx: Context,
        condition: Condition,
        change: Change,
        *,
        if_match: str | None = None,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """A new version of the match by `change`, which must be pure; 404 without a match."""
        own = self.pipeline.own

        def choose(page: Page) -> Choice:
            there = _single(page)
            if there is None:
                raise not_found(f"a {condition.type} that matches")
            return _changed(ctx, there, lambda seen: own(change(seen)), if_match), criteria

        return await self._write(ctx, condition, choose, idempotency)

    async def delete(
        self,
        ctx: Context,
        condition: Condition,
        *,
        if_match: str | None = None,
        idempotency: Idempotency | None = None,
        criteria: Criteria = (),
    ) -> Result:
        """Deletes what matches, `condition.count` at most; nothing is no error. Where only one
        may be meant, several are 412."""

        def choose(page: Page) -> Choice:
            if condition.count == 1:
                _single(page)
            if not page.matches:
                check_version(None, if_match)
            plan = Several(condition.type, page.matches, if_match, more=page.next is not None)
            return Held(plan, page.matches), criteria

        return await self._write(ctx, condition, choose, idempotency)

    async def _write(
        self,
        ctx: Context,
        condition: Condition,
        choose: Callable[[Page], Choice],
        idempotency: Idempotency | None,
    ) -> Result:
        type, where = condition.type, condition.where
        _check_criteria(where)
        if not self.pipeline.access.may_write(ctx, type):
            raise forbidden(f"your role may not write {type}")
        params = [*where, ("_count", str(condition.count))]
        query = self.planner.plan(ctx, type, params, reach=condition.reach)
        meaning = self.planner.meaning(ctx, type, where)

        async def chosen(session: Session) -> Choice:
            await self.pipeline.loader.claim_search(session, ctx, type, meaning)
            return choose(await self.planner.run(session, query))

        return await self.pipeline.write_chosen(ctx, chosen, idempotency)


def _check_criteria(where: Criteria) -> None:
    """400 where nothing would decide: every resource of the type would match."""
    criteria = result.read(where).criteria
    if not where:
        raise invalid("a condition needs search criteria")
    if len(criteria) != len(where):
        other = next(name for name, _ in where if name not in dict(criteria))
        raise invalid(f"{other[:64]} is no criterion")


def _single(page: Page) -> Stored | None:
    if page.next is not None:
        raise Problem(412, "multiple-matches", "the criteria match several resources")
    return page.matches[0] if page.matches else None


def _as_it_is(there: Stored) -> Result:
    return Result(stored=there, resource=parse(there.body))


def _changed(ctx: Context, there: Stored, change: Change, if_match: str | None) -> Plan:
    return Held(Update(ctx, Ref(there.type, there.id), change, if_match), (there,))


def _check_same(there: Stored, resource: Resource) -> None:
    if resource.get("id", there.id) != there.id:
        raise invalid("the body's id is not the one of the match", f"{there.type}.id")


def _first(ctx: Context, type: str, resource: Resource) -> Plan:
    if "id" not in resource:
        return Create(type, new_id(), resource)
    if not ctx.is_system:
        raise Problem(405, "not-supported", "only a system client may choose an id")
    id = resource["id"]
    if not (isinstance(id, str) and is_id(id) and id.strip(".")):
        raise invalid("the body's id is not an id", f"{type}.id")
    return Anew(Update(ctx, Ref(type, id), lambda _: resource, create=True, preview=resource))
