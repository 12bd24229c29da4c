"""The FHIR face: `/fhir/R4/*`, one loop over capability/.

Requests are dispatched by a table instead of a list of route patterns: the table has a row for
each type and interaction that capability/ declares, and finding one costs the same for all.
https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from fhir_server.context import Context
from fhir_server.definitions.model import Definitions
from fhir_server.http.auth import Authenticator
from fhir_server.http.deadline import within
from fhir_server.http.fhir.bundles import Bundles, Limits, Routed, asked
from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.declared import owners, system_interactions
from fhir_server.http.fhir.handlers import HANDLERS
from fhir_server.http.fhir.operations import methods
from fhir_server.http.fhir.public import Public
from fhir_server.http.fhir.published import Published, not_allowed
from fhir_server.http.fhir.replies import refused
from fhir_server.http.fhir.representation import represented
from fhir_server.http.fhir.service import Handler, Service
from fhir_server.http.wire import Reply, Request, place, segments, send_reply
from fhir_server.interactions import Interactions
from fhir_server.problems import Problem, not_found

log = logging.getLogger(__name__)

# Where a type stands for what concerns all of them.
SYSTEM = ""
# What is asked of all types.
SYSTEM_ROUTES: Mapping[tuple[str, str], str] = {
    ("GET", ""): "search-system",
    ("POST", "_search"): "search-system",
    ("GET", "_history"): "history-system",
}
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
    ("GET", "$"): "operation",
    ("POST", "$"): "operation",
    ("GET", "id/$"): "operation",
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
        patience: float,
        bundle_limits: Limits,
        public: Public,
        published: Published,
        public_url: str | None = None,
    ) -> None:
        self._definitions = definitions
        self._service = Service(interactions, definitions)
        self._authenticator = authenticator
        self._limit = body_limit
        self._patience = patience
        self._public_url = public_url
        self._public = public
        self._published = published
        self._handlers = self._table()
        kinds = system_interactions(definitions) & {"batch", "transaction"}
        self._bundles = Bundles(self._service, self._routed, bundle_limits, kinds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers every request, refusals as OperationOutcome."""
        request = Request(scope, receive, self._limit)
        await send_reply(send, await self._reply(request), with_body=scope["method"] != "HEAD")

    async def _reply(self, request: Request) -> Reply:
        try:
            return await within(self._patience, self._represented(request))
        except Problem as problem:
            refusal = refused(problem)
        except Exception:  # noqa: BLE001 - the last resort: a bug must not cut the connection
            log.error("unhandled error at %s", place())  # noqa: TRY400 - no message: it may quote PHI
            refusal = refused(Problem(500, "exception", "an unexpected error occurred"))
        with suppress(Problem):
            return await represented(refusal, request)
        return refusal

    async def _represented(self, request: Request) -> Reply:
        return await represented(await self._answer(request), request)

    async def _answer(self, request: Request) -> Reply:
        root: str = request.scope.get("root_path", "")
        parts = _parts(request, root)
        if request.method == "OPTIONS":
            return self._options(parts)
        base = self._base(request, root)
        open_to_all = await self._public.answer(request, "/".join(parts), base)
        if open_to_all is not None:
            return open_to_all
        authorization = request.header("authorization")
        ctx = await self._authenticator.context(authorization, "fhir", request.asked_from())
        found: Routed | None = None
        try:
            if parts == [SYSTEM] and request.method == "POST" and self._bundles.kinds:
                return await self._bundles.answer(request, ctx, base)
            found = self._found(request, ctx, parts, base)
            return await found.reply(self._service)
        except Exception as error:
            await self._service.interactions.audit.unless_told(asked(request, ctx, found), error)
            raise

    def _routed(self, request: Request, ctx: Context) -> Routed:
        """The interaction that an entry of a Bundle asks for."""
        root: str = request.scope.get("root_path", "")
        return self._found(request, ctx, _parts(request, root), self._base(request, root))

    def _found(self, request: Request, ctx: Context, parts: list[str], base: str) -> Routed:
        """The interaction that a request asks for."""
        if parts[0] in self._published.types:
            shape, id, tail = _shape(parts)
            call = Call(request, ctx, parts[0], id, tail, base)
            return Routed("published", call, lambda _: self._published.answer(shape, call))
        type_, shape, id, tail = self._place(parts)
        row = _method(request), type_, shape
        handler = self._handlers.get(row)
        if handler is None or shape.endswith("$"):
            known = self._known(type_, shape, tail)
            if handler is None or request.method not in known:
                raise not_allowed(request.method, known) if known else _nothing(type_, shape, tail)
        call = Call(request, ctx, type_, id, tail, base)
        routes = SYSTEM_ROUTES if type_ == SYSTEM else ROUTES
        return Routed(
            routes.get((row[0], shape), shape), call, lambda service: handler(service, call)
        )

    def _place(self, parts: list[str]) -> tuple[str, str, str, str]:
        """The type, and as `_shape`."""
        if parts in (["_history"], ["_search"]):
            parts = [SYSTEM, *parts]
        elif parts == [SYSTEM]:
            return SYSTEM, "", "", ""
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
            type_, shape, _, tail = self._place(parts)
            known = self._known(type_, shape, tail)
        if not known:
            raise not_found("what the path names")
        return Reply(204, b"", {"allow": ", ".join([*known, "OPTIONS"])})

    def _known(self, resource_type: str, shape: str, tail: str) -> list[str]:
        if shape.endswith("$"):
            return methods(self._definitions, resource_type, shape, tail)
        found = {m for m, t, s in self._handlers if (t, s) == (resource_type, shape)}
        if (resource_type, shape) == (SYSTEM, "") and self._bundles.kinds:
            found.add("POST")
        return sorted(found | ({"HEAD"} if "GET" in found else set()))

    def _base(self, request: Request, root: str) -> str:
        return (self._public_url or request.origin) + root

    def _table(self) -> dict[tuple[str, str, str], Handler]:
        rows = {
            (method, served.name, shape): HANDLERS[interaction]
            for served in self._definitions.types.values()
            for (method, shape), interaction in ROUTES.items()
            if interaction in served.interactions
            or (interaction == "operation" and served.operations)
            or (interaction == "search-compartment" and served.name in owners(self._definitions))
        }
        rows |= {
            (method, SYSTEM, shape): HANDLERS[interaction]
            for (method, shape), interaction in SYSTEM_ROUTES.items()
            if interaction in system_interactions(self._definitions)
        }
        return rows


def _parts(request: Request, root: str) -> list[str]:
    """The words of the path; a slash at its end is none."""
    parts = segments(request.scope, root)
    if len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts


def _nothing(resource_type: str, shape: str, tail: str) -> Problem:
    if shape.endswith("$"):
        why = f"{resource_type} has no operation ${tail[:64]} here"
        return Problem(404, "not-supported", why)
    return not_found("what the path names")


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
