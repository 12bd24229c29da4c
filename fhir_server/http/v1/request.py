"""A v1 request taken apart, after the caller was let in: key, body, query, path."""

from __future__ import annotations

import re
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir.json import parse
from fhir_server.http.wire import Request, media_type
from fhir_server.mapping.calls import Call
from fhir_server.mapping.route import Route
from fhir_server.problems import Problem, invalid

JSON = "application/json"
# Where a part of a file begins, as in https://tus.io/protocols/resumable-upload
OFFSET = "Upload-Offset"
KEY, MUTATION, DIGEST = "Idempotency-Key", "X-Client-Mutation-Id", "Repr-Digest"
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_MUTATION = re.compile(r"[A-Za-z0-9._:~-]{1,128}", re.ASCII)


async def read_call(request: Request, route: Route, ctx: Context) -> Call:
    """What the request brings for the route; Problem 400, 413 or 415."""
    path: dict[str, str] = request.scope["path_params"]
    if route.query is not None or route.body is None:
        _no_unknown_query(request, route)
        return Call(ctx, path, request.query())
    if route.declared.content is not None:
        _no_unknown_query(request, route)
        return Call(ctx, path)
    key = _token(request, KEY, _KEY)
    if key is None and route.method == "POST":
        raise invalid(f"{KEY} is required", KEY)
    _no_unknown_query(request, route)
    mutation = _token(request, MUTATION, _MUTATION)
    if_match = request.header("if-match")
    return Call(ctx, path, (), await _document(request), key, mutation, if_match)


def _no_unknown_query(request: Request, route: Route) -> None:
    if route.query is None and (asked := request.query()):
        name = asked[0][0][:64]
        raise invalid(f"{name} is not a parameter of this request", name)


def _token(request: Request, name: str, pattern: re.Pattern[str]) -> str | None:
    value = request.header(name.lower())
    if value is not None and not pattern.fullmatch(value):
        raise invalid(f"{name} is not a key", name)
    return value


async def _document(request: Request) -> dict[str, Any]:
    data = await request.body()
    if not data.strip():
        return {}
    if media_type(request.header("content-type")) != JSON:
        raise Problem(415, "not-supported", f"the body must be {JSON}")
    return parse(data)
