"""Bytes that belong to a resource: taken in and given out as they come, never held as a whole.

An upload is a patch: the bytes are checked against what the resource announced while they are
written to the file store, and what they were found to be (`$content.size` …) is what the route
sets. The server writes that in its own name, since no client may say it.

A bad line brings a file in parts (`append`), and a client of S3 takes it there by itself (`link`):
both make a draft, which passes the same checks when it is complete.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir.instant import now_text
from fhir_server.files import FileStore, LostFileError
from fhir_server.interactions import Answer, Interactions, Resource
from fhir_server.mapping.calls import (
    Call,
    addressed,
    copied,
    given,
    id_of,
    of_kind,
    pairs,
    reworded,
)
from fhir_server.mapping.codec import MISSING
from fhir_server.mapping.inputs import Inputs
from fhir_server.mapping.receipt import Described, Incoming, Receipt, check_type
from fhir_server.mapping.route import Route
from fhir_server.problems import Problem, conflict, not_found

# How long a client may take to begin with a link.
LINK = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Moved:
    """The answer to an upload, and how much of the content is here."""

    answer: Answer
    offset: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of what one call addresses."""

    interactions: Interactions
    files: FileStore
    route: Route
    call: Call

    async def upload(self, incoming: Incoming) -> Moved:
        """Takes the content in; Problem 400, 413, 415 or 422 where it is not what was announced,
        and then nothing is kept."""
        inputs, resource = await self._found()
        announced = described(self.route, resource)
        return await self._taken(inputs, announced, incoming)

    async def append(self, incoming: Incoming, at: int) -> Moved:
        """Takes a part in, which stays even where it breaks off; with the last one, the whole."""
        inputs, resource = await self._found()
        announced = described(self.route, resource)
        check_type(announced, incoming)
        tenant, draft = self.call.ctx.tenant, self._draft(inputs)
        part = _up_to(announced.size - at, announced.size, incoming.chunks)
        end = await self.files.append(tenant, draft, at, part)
        if end < announced.size:
            return Moved(given(self.route, self.call, resource), end, complete=False)
        try:
            async with aclosing(self.files.read_draft(tenant, draft)) as chunks:
                whole = replace(incoming, chunks=chunks, length=end)
                return await self._taken(inputs, announced, whole)
        except LostFileError:
            raise conflict("another upload of this file came to its end") from None
        except Problem as problem:
            if problem.status in (400, 413, 422) or problem.v1_code == "INVALID_STATE_TRANSITION":
                # Nothing that is added to it can make it right, or it was taken in from elsewhere.
                await self.files.remove_draft(tenant, draft)
            raise

    async def progress(self) -> Answer:
        """How much is here, and where the client may take the whole by itself."""
        inputs, resource = await self._found()
        described(self.route, resource)
        tenant, draft = self.call.ctx.tenant, self._draft(inputs)
        told: dict[str, Any] = {"offset": await self.files.length(tenant, draft)}
        link = await self.files.link(tenant, draft, LINK)
        if link is not None:
            told |= {"uploadUrl": link, "expiresAt": now_text(self.call.ctx.now + LINK)}
        return given(self.route, self.call, resource, told)

    async def download(self) -> Described:
        """What the content is, where the caller may have it; the bytes are the file store's. 404
        where they are there no more."""
        _, resource = await self._found()
        found = described(self.route, resource)
        if found.file is None:
            raise not_found("the content")
        return found

    async def _found(self) -> tuple[Inputs, Resource]:
        route, call = self.route, self.call
        inputs = Inputs(call.ctx, route.path(call.path))
        try:
            return inputs, await addressed(self.interactions, route, call, inputs)
        except Problem as problem:
            raise reworded(problem, route, inputs) from None

    async def _taken(self, inputs: Inputs, announced: Described, incoming: Incoming) -> Moved:
        receipt = Receipt(announced, incoming)
        file = await self.files.write(self.call.ctx.tenant, receipt.checked())
        try:
            answer = await self._recorded(
                replace(inputs, content={**receipt.found(), "file": file})
            )
        except Problem as problem:
            # Behind a 5xx it may have been recorded all the same: better a file too many.
            if problem.status < 500:
                await self.files.remove(self.call.ctx.tenant, file)
            raise reworded(problem, self.route, inputs) from None
        await self.files.remove_draft(self.call.ctx.tenant, self._draft(inputs))
        return Moved(answer, announced.size, complete=True)

    def _draft(self, inputs: Inputs) -> str:
        """Drafts are called what they belong to."""
        return inputs.path[self.route.addressed or ""]

    async def _recorded(self, inputs: Inputs) -> Answer:
        route = self.route
        result = await self.interactions.patch(
            _itself(self.call.ctx),
            route.resource,
            id_of(route, inputs),
            lambda current: route.write(copied(of_kind(route, current)), inputs),
            criteria=pairs(route.requires, inputs),
        )
        return given(route, self.call, result.resource or {})


def described(route: Route, resource: Resource) -> Described:
    """What the resource says of its bytes; 409 where it is not as the route expects it."""
    for one, raw in route.expects:
        if one.optic.raw(resource) != raw:
            why = f"the {route.noun} is not in a state for that"
            raise conflict(why, v1_code="INVALID_STATE_TRANSITION")
    found: dict[str, Any] = {
        part: None if (value := one.optic.view(resource)) is MISSING else value
        for part, one in route.described.items()
    }
    return Described(**found)


def _itself(ctx: Context) -> Context:
    """The server, with no more rights than the caller has."""
    return replace(ctx, face="job", now=datetime.now(UTC))


async def _up_to(left: int, size: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The bytes; 413 before the first one that is too many."""
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise Problem(413, "too-long", f"{size} bytes were announced, not more")
        yield chunk
