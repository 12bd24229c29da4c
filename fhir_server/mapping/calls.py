"""Carries out a v1 route: its one FHIR interaction, and the answer in v1's words.

A list that requires something of the resource it belongs to (`requires`) looks at that first: an
empty page would not tell a thread without messages from one that is not there or not the caller's.

The client's id of a change (`mutation`) outlives its idempotency keys, which a device makes anew
for every attempt: where both are given, both are kept, and a retry by either is answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from fhir_server.context import Context
from fhir_server.interactions import Answer, Idempotency, Interactions, Page, Resource, Result
from fhir_server.interactions.model import LIFETIME
from fhir_server.mapping.answer import CURSOR, ITEMS
from fhir_server.mapping.inputs import Inputs
from fhir_server.mapping.query import Criteria, Pairs, Query
from fhir_server.mapping.route import Route
from fhir_server.problems import Problem, invalid, not_found

# A device may be without a network for long before it repeats a change.
MUTATIONS_KEPT = timedelta(days=90)
# Interactions whose answer is one version of one resource.
TAGGED = ("read", "update", "patch")
REPLAYED = {"idempotency-replayed": "true"}
# How the domain refuses a create below a resource that is not there, or is of another kind.
NO_PARENT = ("not-found", "business-rule")


@dataclass(frozen=True, slots=True)
class Call:
    """A request for a route, as HTTP or a bus brought it; values are v1's.

    `asked` is the query, `document` the body, `key` the idempotency key, `mutation` the client's
    id of the change, and `if_match` the version that it is meant for.
    """

    ctx: Context
    path: Mapping[str, str] = field(default_factory=dict)
    asked: Sequence[tuple[str, str]] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    mutation: str | None = None
    if_match: str | None = None


async def perform(interactions: Interactions, route: Route, call: Call) -> Answer:
    """The route's answer; Problem for every refusal."""
    path = route.path(call.path)
    body = route.body.parse(call.document) if route.body else {}
    inputs = Inputs(call.ctx, path, body, call.mutation)
    try:
        return await _PERFORM[route.interaction](interactions, route, call, inputs)
    except Problem as problem:
        raise reworded(problem, route, inputs) from None


def reworded(problem: Problem, route: Route, inputs: Inputs) -> Problem:
    """v1 speaks of threads where FHIR speaks of Communication/0198…."""
    if problem.issues[0].expression == "_cursor":
        return invalid("cursor is not one of this list", "cursor")
    reference = route.reference(inputs.path)
    if reference is None:
        return problem
    below = route.interaction == "create" and problem.status == 422
    if below and problem.issues[0].code in NO_PARENT:
        return not_found(route.noun)
    # What is not there any more, or never was, is named by its type alone.
    named = reference.partition("/")[0] if problem.status in (404, 410) else reference
    if named not in problem.diagnostics:
        return problem
    return Problem(
        problem.status,
        problem.issues[0].code,
        problem.diagnostics.replace(named, route.noun),
        v1_code=problem.v1_code,
        headers=problem.headers,
    )


async def _create(interactions: Interactions, route: Route, call: Call, inputs: Inputs) -> Answer:
    resource = route.write({"resourceType": route.written}, inputs)
    rendering = _Rendering(route, call)
    result = await interactions.create(
        call.ctx, route.resource, resource, idempotency=rendering.idempotency()
    )
    return rendering.answer(result)


async def _read(interactions: Interactions, route: Route, call: Call, inputs: Inputs) -> Answer:
    return given(route, call, await addressed(interactions, route, call, inputs))


async def addressed(
    interactions: Interactions, route: Route, call: Call, inputs: Inputs
) -> Resource:
    """What is meant; 404 where it is of another kind, 403 where `requires` is not met."""
    criteria = pairs(route.requires, inputs)
    stored = await interactions.read(call.ctx, route.owner, id_of(route, inputs), criteria=criteria)
    return of_kind(route, orjson.loads(stored.body))


async def _update(interactions: Interactions, route: Route, call: Call, inputs: Inputs) -> Answer:
    """What v1 has no words for stays as it is."""
    rendering = _Rendering(route, call)
    id = id_of(route, inputs)
    new = {"resourceType": route.resource, "id": id}
    result = await interactions.replace(
        call.ctx,
        route.resource,
        id,
        lambda current: route.write(copied(of_kind(route, current) if current else new), inputs),
        new=route.at is not None,
        if_match=call.if_match,
        idempotency=rendering.idempotency(),
        criteria=pairs(route.requires, inputs),
    )
    return rendering.answer(result)


def of_kind(route: Route, resource: Resource) -> Resource:
    """The resource; 404 where it is not what the prefix of its id says."""
    if route.kind and route.kind not in resource["meta"].get("profile", ()):
        raise not_found(route.noun)
    return resource


async def _patch(interactions: Interactions, route: Route, call: Call, inputs: Inputs) -> Answer:
    rendering = _Rendering(route, call)
    result = await interactions.patch(
        call.ctx,
        route.resource,
        id_of(route, inputs),
        lambda current: route.write(copied(of_kind(route, current)), inputs),
        if_match=call.if_match,
        idempotency=rendering.idempotency(),
        criteria=pairs(route.requires, inputs),
    )
    return rendering.answer(result)


async def _operation(
    interactions: Interactions, route: Route, call: Call, inputs: Inputs
) -> Answer:
    rendering = _Rendering(route, call)
    result = await interactions.operation(
        call.ctx,
        route.declared.operation,
        route.resource,
        id_of(route, inputs),
        route.write({"resourceType": route.written}, inputs),
        idempotency=rendering.idempotency(),
        criteria=pairs(route.requires, inputs),
    )
    return rendering.answer(result)


async def _search(interactions: Interactions, route: Route, call: Call, inputs: Inputs) -> Answer:
    params, cursor = query_of(route).params(call.asked, inputs)
    if route.requires:
        await addressed(interactions, route, call, inputs)
    page = await searched(interactions, route, call, params, cursor)
    more = {CURSOR: page.next} if page.next else {}
    found = {ITEMS: list(rows(route, call, page)), **more}
    return Answer(route.answered.status, orjson.dumps(found))


def query_of(route: Route) -> Query:
    """What the list may be asked."""
    if route.query is None:
        raise TypeError(f"{route.id} is no search")
    return route.query


async def searched(
    interactions: Interactions, route: Route, call: Call, params: Pairs, cursor: str | None
) -> Page:
    """One page of a list: one statement."""
    after = [("_cursor", cursor)] if cursor else []
    return await interactions.search(
        call.ctx, route.resource, [*params, *after], derived=route.answered.asks
    )


def rows(route: Route, call: Call, page: Page) -> Iterator[dict[str, Any]]:
    """What the route gives of each match."""
    derived = page.derived or [()] * len(page.matches)
    read = route.answered.read
    for stored, row in zip(page.matches, derived, strict=True):
        yield read(orjson.loads(stored.body), row, call.path)


def given(
    route: Route, call: Call, resource: Resource, told: Mapping[str, Any] | None = None
) -> Answer:
    """What the route gives of the resource, and of what is `told` of its content."""
    found = route.answered.read(resource, (), {**call.path, **(told or {})})
    tag = {"etag": f'W/"{resource["meta"]["versionId"]}"'} if route.interaction in TAGGED else {}
    return Answer(route.answered.status, orjson.dumps(found), tag)


@dataclass(slots=True)
class _Rendering:
    """The answer to a write: made before the commit where a key keeps it, after it otherwise."""

    route: Route
    call: Call
    made: Answer | None = None

    def idempotency(self) -> Idempotency | None:
        call = self.call
        request = fingerprint(self.route, call)
        if call.mutation:
            beside = {call.key: LIFETIME} if call.key else {}
            key = f"mutation {call.mutation}"
            return Idempotency(key, request, self.render, MUTATIONS_KEPT, beside)
        return Idempotency(call.key, request, self.render) if call.key else None

    def render(self, result: Result) -> Answer:
        found = result.resource if result.parameters is None else result.parameters
        self.made = given(self.route, self.call, found or {})
        return self.made

    def answer(self, result: Result) -> Answer:
        kept = result.replay
        if kept is not None:
            return Answer(kept.status, kept.body, {**kept.headers, **REPLAYED})
        return self.made or self.render(result)


def fingerprint(route: Route, call: Call) -> str:
    """What makes two requests the same: route, path and body, whatever its white space."""
    body = orjson.dumps(call.document, default=str, option=orjson.OPT_SORT_KEYS)
    words = [route.id, *call.path.values()]
    return hashlib.blake2b("\n".join(words).encode() + b"\n" + body, digest_size=16).hexdigest()


def id_of(route: Route, inputs: Inputs) -> str:
    """The FHIR id of the addressed resource."""
    return (route.reference(inputs.path) or "").partition("/")[2]


def pairs(criteria: Criteria, inputs: Inputs) -> list[tuple[str, str]]:
    return [(name, value(inputs)) for name, value in criteria]


def copied(node: Any) -> Any:
    """A deep copy of JSON: a version that others look at is never changed."""
    if isinstance(node, dict):
        return {key: copied(value) for key, value in node.items()}
    if isinstance(node, list):
        return [copied(value) for value in node]
    return node


Performed = Callable[[Interactions, Route, Call, Inputs], Awaitable[Answer]]
_PERFORM: Mapping[str, Performed] = {
    "create": _create,
    "read": _read,
    "update": _update,
    "patch": _patch,
    "operation": _operation,
    "search": _search,
}
