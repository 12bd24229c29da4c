"""What a single interaction wants written, before anything is searched or loaded.

An intent is carried out by itself (`Writes`), or with others (`transaction/`); it is the same
intent, so both mean the same. A condition is a search that decides what is written: it is the
caller's own, under the access policy and the token's scopes, so what he may not see is not found,
and what he writes tells him nothing about it.
https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.context import Context
from fhir_server.fhir.ids import is_id, new_id
from fhir_server.fhir.json import parse
from fhir_server.interactions.create import Create, check_type
from fhir_server.interactions.delete import Delete
from fhir_server.interactions.found import Anew, Held, Nothing, Several
from fhir_server.interactions.model import Ref, Resource, Result
from fhir_server.interactions.plan import Choice, Criteria, Plan
from fhir_server.interactions.update import Change, Known, Update, check_version
from fhir_server.problems import Problem, invalid, not_found
from fhir_server.store.search.page import Page, Reach
from fhir_server.store.stored import Stored

Method = Literal["DELETE", "POST", "PUT", "PATCH"]


@dataclass(frozen=True, slots=True)
class Condition:
    """The search that decides; `reach` is what the caller's scopes limit each type to that it
    touches, and at most `count` matches may be meant."""

    type: str
    where: Criteria
    reach: Reach | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Intent:
    """`ref` is the resource in the address, or a new one of that id; `body` is what the request
    holds, whose references may still be placeholders. `plan` makes the plan of the body as it is
    meant and of what the condition found; it is pure, and raises what the criteria found refuse.
    Before it, the caller must see the resource under the criteria `shown`."""

    method: Method
    ref: Ref
    plan: Callable[[Any, Page | None], Choice]
    body: Any = None
    condition: Condition | None = None
    shown: Criteria = ()


@dataclass(frozen=True, slots=True)
class Intents:
    """The intents of each interaction; `own` makes references to this server relative, `reserved`
    are the places of resources that a tenant has one of, and `alone` tells of a resource the search
    that finds the one there may be. `criteria` are what the scopes limit the write to."""

    own: Callable[[Resource], Resource]
    reserved: Collection[Ref] = ()
    alone: Callable[[str, Resource], Criteria] = lambda _, __: ()

    def create(
        self,
        type: str,
        resource: Resource,
        *,
        condition: Condition | None = None,
        criteria: Criteria = (),
    ) -> Intent:
        """A new resource, or with a condition the one there is: then `created` is false."""
        check_type(type, resource)
        if condition is None and (where := self.alone(type, resource)):
            condition = Condition(type, where)
        id = new_id()

        def plan(body: Any, page: Page | None) -> Choice:
            there = single(page)
            if there is not None:
                return Nothing(type, as_it_is(there)), ()
            return Create(type, id, self.own(body)), criteria

        return Intent("POST", Ref(type, id), plan, resource, condition)

    def update(
        self,
        ctx: Context,
        ref: Ref,
        resource: Resource,
        *,
        if_match: Known | None = None,
        criteria: Criteria = (),
    ) -> Intent:
        """Another content; a system client may create it so, and others what has its place."""

        def plan(body: Any, _: Page | None) -> Choice:
            own, ours = self.own(body), ref in self.reserved
            new = Update(ctx, ref, lambda _: own, if_match, create=True, preview=own, ours=ours)
            return new, criteria

        return Intent("PUT", ref, plan, resource)

    def conditional_update(
        self,
        ctx: Context,
        condition: Condition,
        resource: Resource,
        *,
        creating: Callable[[], Criteria] = tuple,
        if_match: Known | None = None,
        criteria: Criteria = (),
    ) -> Intent:
        """Another content of the match, or a new resource, which takes the right `creating`; a
        system client may choose its id."""
        type = condition.type
        check_type(type, resource)
        id = resource.get("id", new_id())

        def plan(body: Any, page: Page | None) -> Choice:
            there, own = single(page), self.own(body)
            if there is None:
                check_version(None, if_match)
                return _first(ctx, type, id, own), creating()
            _check_same(there, own)
            return _changed(ctx, there, lambda _: own, if_match), criteria

        return Intent("PUT", Ref(type, str(id)), plan, resource, condition)

    def patch(
        self,
        ctx: Context,
        ref: Ref,
        patch: Any,
        changing: Callable[[Any], Change],
        *,
        if_match: Known | None = None,
        criteria: Criteria = (),
    ) -> Intent:
        """What `changing` makes of the patch, which must be pure."""
        # Why a change cannot be done may tell what a resource holds.
        return Intent(
            "PATCH",
            ref,
            lambda body, _: (Update(ctx, ref, self._owned(changing(body)), if_match), criteria),
            patch,
            shown=criteria,
        )

    def conditional_patch(
        self,
        ctx: Context,
        condition: Condition,
        patch: Any,
        changing: Callable[[Any], Change],
        *,
        if_match: Known | None = None,
        criteria: Criteria = (),
    ) -> Intent:
        """The same of the match; 404 without one."""

        def plan(body: Any, page: Page | None) -> Choice:
            there = single(page)
            if there is None:
                raise not_found(f"a {condition.type} that matches")
            return _changed(ctx, there, self._owned(changing(body)), if_match), criteria

        return Intent("PATCH", Ref(condition.type, ""), plan, patch, condition)

    def delete(self, ref: Ref, *, if_match: Known | None = None, criteria: Criteria = ()) -> Intent:
        """Deletes it; again is no error."""
        return Intent("DELETE", ref, lambda _, __: (Delete(ref, if_match), criteria))

    def conditional_delete(
        self, condition: Condition, *, if_match: Known | None = None, criteria: Criteria = ()
    ) -> Intent:
        """Deletes what matches, `condition.count` at most; nothing is no error. Where only one
        may be meant, several are 412."""

        def plan(_: Any, page: Page | None) -> Choice:
            if condition.count == 1:
                single(page)
            found = page.matches if page else []
            if not found:
                check_version(None, if_match)
            more = page is not None and page.next is not None
            return Held(Several(condition.type, found, if_match, more), found), criteria

        return Intent("DELETE", Ref(condition.type, ""), plan, condition=condition)

    def _owned(self, change: Change) -> Change:
        return lambda seen: self.own(change(seen))


def single(page: Page | None) -> Stored | None:
    """The match, if any; 412 where there are several."""
    if page is None:
        return None
    if page.next is not None:
        raise Problem(412, "multiple-matches", "the criteria match several resources")
    return page.matches[0] if page.matches else None


def as_it_is(there: Stored) -> Result:
    """The result of leaving it so."""
    return Result(stored=there, resource=parse(there.body))


def _changed(ctx: Context, there: Stored, change: Change, if_match: Known | None) -> Plan:
    return Held(Update(ctx, Ref(there.type, there.id), change, if_match), (there,))


def _check_same(there: Stored, resource: Resource) -> None:
    if resource.get("id", there.id) != there.id:
        raise invalid("the body's id is not the one of the match", f"{there.type}.id")


def _first(ctx: Context, type: str, id: Any, resource: Resource) -> Plan:
    if "id" not in resource:
        return Create(type, id, resource)
    if not ctx.is_system:
        raise Problem(405, "not-supported", "only a system client may choose an id")
    if not (isinstance(id, str) and is_id(id) and id.strip(".")):
        raise invalid("the body's id is not an id", f"{type}.id")
    return Anew(Update(ctx, Ref(type, id), lambda _: resource, create=True, preview=resource))
