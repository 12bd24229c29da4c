"""The FHIR face: `/fhir/R4/*`, one loop over capability/.

Requests are dispatched by a table instead of a list of route patterns: the table has a row for
each type and interaction that capability/ declares, and finding one costs the same for all.
https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.types import Receive, Scope, Send

from fhir_server.context import Context
from fhir_server.definitions.model import Definitions
from fhir_server.http.auth import Authenticator
from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.declared import owners, system_interactions
from fhir_server.http.fhir.handlers import HANDLERS, Service
from fhir_server.http.fhir.public import Public
from fhir_server.http.fhir.published import Published, not_allowed
from fhir_server.http.fhir.replies import refused
from fhir_server.http.wire import Reply, Request, place, segments, send_reply
from fhir_server.interactions import Interactions
from fhir_server.problems import Problem, not_found

log = logging.getLogger(__name__)

Handler = Callable[[Service, Call], Awaitable[Reply]]

# Where a type stands for what concerns all of them.
SYSTEM = ""
# What is asked, by method and by what follows the type in the path.
ROUTES: Mapping[tuple[str, str], str] = {
    ("GET", ""): "search-type",
    ("POST", ""): "create",
    ("POST", "_search"): "search-type",
    ("PUT", ""): "conditional-update",
    ("PATCH", ""): "conditional-patch",
    ("DELETE", ""): "conditional-delete",
    ("GET", "id"): "read",
    ("PUT", "id"): "update",
    ("PATCH", "id"): "patch",
    ("DELETE", "id"): "delete",
    ("GET", "_history"): "history-type",
    ("GET", "id/type"): "search-compartment",
    ("POST", "id/type/_search"): "search-compartment",
    ("GET", "id/_history"): "history-instance",
    ("GET", "id/_history/version"): "vread",
    ("POST", "$"): "operation",
    ("POST", "id/$"): "operation",
}


class FhirFace:
    """The ASGI application of the FHIR face, for paths below its mount point."""

    def __init__(
        self,
        definitions: Definitions,
        interactions: Interactions,
        authenticator: Authenticator,
        *,
        body_limit: int,
        public: Public,
        published: Published,
        public_url: str | None = None,
    ) -> None:
        self._definitions = definitions
        self._service = Service(interactions, definitions)
        self._authenticator = authenticator
        self._limit = body_limit
        self._public_url = public_url
        self._public = public
        self._published = published
        self._handlers = self._table()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers every request, refusals as OperationOutcome."""
        request = Request(scope, receive, self._limit)
        await send_reply(send, await self._reply(request), with_body=scope["method"] != "HEAD")

    async def _reply(self, request: Request) -> Reply:
        try:
            return await self._answer(request)
        except Problem as problem:
            return refused(problem)
        except Exception:  # noqa: BLE001 - the last resort: a bug must not cut the connection
            log.error("unhandled error at %s", place())  # noqa: TRY400 - no message: it may quote PHI
            return refused(Problem(500, "exception", "an unexpected error occurred"))

    async def _answer(self, request: Request) -> Reply:
        root: str = request.scope.get("root_path", "")
        parts = segments(request.scope, root)
        if len(parts) > 1 and not parts[-1]:
            parts.pop()
        if request.method == "OPTIONS":
            return self._options(parts)
        base = self._base(request, root)
        open_to_all = await self._public.answer(request, "/".join(parts), base)
        if open_to_all is not None:
            return open_to_all
        ctx = await self._authenticator.context(request.header("authorization"), "fhir")
        if parts[0] in self._published.types:
            shape, id, tail = _shape(parts)
            return await self._published.answer(shape, Call(request, ctx, parts[0], id, tail, base))
        handler, call = self._call(request, ctx, parts, root)
        return await handler(self._service, call)

    def _call(
        self, request: Request, ctx: Context, parts: list[str], root: str
    ) -> tuple[Handler, Call]:
        type_, shape, id, tail = self._place(parts)
        handler = self._handlers.get((_method(request), type_, shape))
        if handler is None:
            raise self._not_allowed(request.method, type_, shape)
        return handler, Call(request, ctx, type_, id, tail, self._base(request, root))

    def _place(self, parts: list[str]) -> tuple[str, str, str, str]:
        """The type, and as `_shape`."""
        if parts == ["_history"]:
            parts = [SYSTEM, *parts]
        elif parts[0] not in self._definitions.types:
            raise not_found(f"the resource type {parts[0][:64]}")
        return parts[0], *_shape(parts)

    def _options(self, parts: list[str]) -> Reply:
        """The methods of a path, which /metadata tells everyone as well."""
        if "/".join(parts) in self._public.paths:
            known = ["GET", "HEAD"]
        elif parts[0] in self._published.types:
            known = self._published.methods(_shape(parts)[0])
        else:
            known = self._known(*self._place(parts)[:2])
        if not known:
            raise not_found("what the path names")
        return Reply(204, b"", {"allow": ", ".join([*known, "OPTIONS"])})

    def _known(self, resource_type: str, shape: str) -> list[str]:
        methods = {m for m, t, s in self._handlers if (t, s) == (resource_type, shape)}
        return sorted(methods | ({"HEAD"} if "GET" in methods else set()))

    def _base(self, request: Request, root: str) -> str:
        return (self._public_url or request.origin) + root

    def _not_allowed(self, method: str, resource_type: str, shape: str) -> Problem:
        known = self._known(resource_type, shape)
        return not_allowed(method, known) if known else not_found("what the path names")

    def _table(self) -> dict[tuple[str, str, str], Handler]:
        rows = {
            (method, served.name, shape): HANDLERS[interaction]
            for served in self._definitions.types.values()
            for (method, shape), interaction in ROUTES.items()
            if interaction in served.interactions
            or (interaction == "operation" and served.operations)
            or (interaction == "search-compartment" and served.name in owners(self._definitions))
        }
        if "history-system" in system_interactions(self._definitions):
            rows["GET", SYSTEM, "_history"] = HANDLERS["history-system"]
        return rows


def _method(request: Request) -> str:
    return "GET" if request.method == "HEAD" else request.method


def _shape(parts: list[str]) -> tuple[str, str, str]:
    """Which row of ROUTES, the id, and the version or operation that the path names."""
    operation = parts[-1][1:] if parts[-1].startswith("$") else ""
    match parts[1:]:
        case [] | ["_search"] | ["_history"]:
            found = "".join(parts[1:]), "", ""
        case [_] if operation:
            found = "$", "", operation
        case [id]:
            found = "id", id, ""
        case [id, _] if operation:
            found = "id/$", id, operation
        case [id, "_history"]:
            found = "id/_history", id, ""
        case [id, type_] if type_[:1].isupper():
            found = "id/type", id, type_
        case [id, type_, "_search"] if type_[:1].isupper():
            found = "id/type/_search", id, type_
        case [id, "_history", version]:
            found = "id/_history/version", id, version
        case _:
            found = "?", "", ""
    return found
