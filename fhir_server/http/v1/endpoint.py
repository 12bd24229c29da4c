"""One path of the v1 face: who may pass, what is asked, what is answered.

The order of refusals is part of the contract: 401, licence, scope, rate, body, existence, state.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from starlette.types import Receive, Scope, Send

from fhir_server.context import Context
from fhir_server.http.auth import Authenticator
from fhir_server.http.auth.scopes import require_scope
from fhir_server.http.deadline import within
from fhir_server.http.licences import Licences
from fhir_server.http.limits import Limits
from fhir_server.http.v1.content import Contents
from fhir_server.http.v1.errors import CONTENT, refused
from fhir_server.http.v1.export import exported
from fhir_server.http.v1.languages import Languages
from fhir_server.http.v1.legacy import Succession
from fhir_server.http.v1.request import read_call
from fhir_server.http.wire import Reply, Request, place, send_reply
from fhir_server.interactions import Asked, Interactions
from fhir_server.mapping.calls import perform
from fhir_server.mapping.route import Route
from fhir_server.problems import Problem, forbidden

log = logging.getLogger(__name__)

# Bodies of any length: what they wait for has limits of its own, as has each part of them.
STREAMED = frozenset({"upload", "append"})


@dataclass(frozen=True, slots=True)
class Service:
    """What every endpoint works with; `body_limit` in bytes, `patience` in seconds."""

    interactions: Interactions
    authenticator: Authenticator
    licences: Licences
    limits: Limits
    languages: Languages
    contents: Contents
    body_limit: int
    patience: float


class Endpoint:
    """The ASGI application of one path, for all its methods."""

    def __init__(
        self, service: Service, methods: Mapping[str, Route], old: Succession | None
    ) -> None:
        self._service = service
        self._methods = dict(methods)
        if "GET" in methods:
            self._methods["HEAD"] = methods["GET"]
        self._old = old

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers every request, refusals in the envelope."""
        request = Request(scope, receive, self._service.body_limit)
        reply = await self._reply(request)
        if self._old is not None:
            headers = {**reply.headers, **self._old(scope["path"])}
            reply = replace(reply, headers=headers)
        await send_reply(send, reply, receive, with_body=scope["method"] != "HEAD")

    async def _reply(self, request: Request) -> Reply:
        route = self._methods.get(request.method)
        if route is None:
            return self._refused(request, self._not_allowed(request.method))
        answer = self._answer(request, route)
        if route.declared.content not in STREAMED:
            answer = within(self._service.patience, answer)
        return await self._told(request, route, answer)

    async def _told(self, request: Request, route: Route, answer: Awaitable[Reply]) -> Reply:
        """The answer, or why there is none."""
        try:
            return await answer
        except Problem as problem:
            return self._refused(request, problem, route)
        except Exception:  # noqa: BLE001 - the last resort: a bug must not cut the connection
            # Its message may quote patient data: the log gets the place only.
            log.error("unhandled error at %s", place())  # noqa: TRY400
            return self._refused(request, Problem(500, "exception", "an unexpected error occurred"))

    def _refused(self, request: Request, problem: Problem, route: Route | None = None) -> Reply:
        language = self._service.languages.of(request.header("accept-language"))
        return refused(problem, route, language)

    async def _answer(self, request: Request, route: Route) -> Reply:
        service = self._service
        authorization = request.header("authorization")
        ctx = await service.authenticator.context(authorization, "v1", request.asked_from())
        try:
            await self._let_in(ctx, route)
            left = await service.limits.take(ctx, route.declared.limit)
        except Exception as error:
            await self._record(request, route, ctx, error)
            raise
        reply = await self._told(request, route, self._performed(request, route, ctx))
        return replace(reply, headers={**reply.headers, **left})

    async def _record(self, request: Request, route: Route, ctx: Context, error: Exception) -> None:
        """A refusal, unless an interaction has recorded it."""
        reference = None
        with suppress(Problem):
            reference = route.reference(route.path(request.scope["path_params"]))
        type_, _, id = (reference or route.owner).partition("/")
        asked = Asked(ctx, route.interaction, type_, id)
        await self._service.interactions.audit.unless_told(asked, error)

    async def _performed(self, request: Request, route: Route, ctx: Context) -> Reply:
        try:
            return await self._done(request, route, ctx)
        except Exception as error:
            await self._record(request, route, ctx, error)
            raise

    async def _done(self, request: Request, route: Route, ctx: Context) -> Reply:
        service = self._service
        call = await read_call(request, route, ctx)
        if route.declared.exports:
            return await exported(request, service.interactions, route, call)
        if route.declared.content is not None:
            return await service.contents.reply(request, route, call)
        answer = await perform(service.interactions, route, call)
        return Reply(answer.status, answer.body, {**CONTENT, **answer.headers})

    async def _let_in(self, ctx: Context, route: Route) -> None:
        module = route.declared.module
        if module and not await self._service.licences.holds(ctx, module):
            why = f"your organisation has no licence for {module}"
            raise forbidden(why, v1_code="MODULE_NOT_LICENSED")
        require_scope(ctx, route.declared.scope)
        if route.declared.roles and not ctx.roles.intersection(route.declared.roles):
            raise forbidden("your role may not use this")

    def _not_allowed(self, method: str) -> Problem:
        known = {"allow": ", ".join(sorted(self._methods))}
        return Problem(405, "not-supported", f"{method} is not supported here", headers=known)
