"""The v1 half of the OpenAPI document: request, response, scopes and errors of every route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.http.v1.export import TYPES
from fhir_server.http.v1.request import DIGEST, KEY, MUTATION, OFFSET
from fhir_server.mapping.body import EITHER, OPTIONAL, REQUIRED
from fhir_server.mapping.calls import TAGGED
from fhir_server.mapping.loader import Mappings
from fhir_server.mapping.model import RouteDeclaration
from fhir_server.mapping.route import Route

ERROR = {"$ref": "#/components/schemas/Error"}
REFUSALS: Mapping[int, str] = {
    400: "VALIDATION_ERROR: the request is malformed; `details.fields` names what is wrong",
    401: "UNAUTHENTICATED: no valid access token",
    403: "MODULE_NOT_LICENSED, or FORBIDDEN: scope, role or participation is missing",
    404: "NOT_FOUND: it is not there, or belongs to another tenant",
    409: "CONFLICT, or INVALID_STATE_TRANSITION",
    413: "VALIDATION_ERROR: the body is too large",
    415: "VALIDATION_ERROR: the body is not application/json",
    422: "VALIDATION_ERROR: the Idempotency-Key was used for another request; ATTACHMENT_REJECTED:"
    " an attachment is infected, or not what it was announced as",
    429: "RATE_LIMITED: `Retry-After` says in how many seconds to come again",
    503: "DEPENDENCY_UNAVAILABLE",
}
UPLOADS = ("upload", "append")
WRITING = (409, 413, 415, 422)
COMING: Mapping[int, str] = {
    408: "VALIDATION_ERROR: the content did not come in time",
    411: "VALIDATION_ERROR: the length of the content is missing",
}
# What only bytes can be refused for.
BYTES: Mapping[str, Mapping[int, str]] = {
    "upload": COMING,
    "append": {**COMING, 405: "METHOD_NOT_ALLOWED: the file store takes no parts"},
    "progress": {409: "INVALID_STATE_TRANSITION: the content is here already"},
    "download": {
        409: "INVALID_STATE_TRANSITION: the content is not scanned, or infected",
        416: "VALIDATION_ERROR: the content has no such range",
    },
}
FILE = {"schema": {"type": "string"}}
BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def v1_components() -> dict[str, Any]:
    """The schemas that routes share."""
    field = {
        "type": "object",
        "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
    }
    error = {
        "type": "object",
        "required": ["code", "message", "details"],
        "properties": {
            "code": {"type": "string"},
            "message": {"type": "string"},
            "details": {
                "type": "object",
                "properties": {"fields": {"type": "array", "items": field}},
            },
        },
    }
    return {
        "Error": {
            "type": "object",
            "required": ["success", "error"],
            "properties": {"success": {"const": False}, "error": error},
        }
    }


def v1_paths(mappings: Mappings) -> dict[str, Any]:
    """Every route under its prefix; the service's old prefixes answer the same."""
    paths: dict[str, Any] = {}
    for route in mappings.routes:
        paths.setdefault(route.address, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> dict[str, Any]:
    line = route.declared
    described: dict[str, Any] = {
        "operationId": route.id,
        "summary": line.summary,
        "description": _needs(line),
        "tags": ["v1"],
        "security": [{"bearer": [line.scope]}],
        "parameters": [*_path(route), *_query(route), *_headers(route)],
        "responses": _responses(route),
    }
    if line.content in UPLOADS:
        described["requestBody"] = {"required": True, "content": BINARY}
    elif route.body is not None and route.body.taken:
        described["requestBody"] = _request_body(route)
    return described


def _needs(line: RouteDeclaration) -> str:
    roles = f", role {' or '.join(f'`{role}`' for role in line.roles)}" if line.roles else ""
    licence = f", licence `{line.module}`" if line.module else ""
    return f"Scope `{line.scope}`{licence}{roles}."


def _path(route: Route) -> Iterator[dict[str, Any]]:
    for name, field in route.segments.items():
        yield {"name": name, "in": "path", "required": True, "schema": field.schema}


def _query(route: Route) -> Iterator[dict[str, Any]]:
    if route.query is None:
        return
    for name, one in route.query.filters.items():
        default = {} if one.default is None else {"default": one.default}
        yield {"name": name, "in": "query", "schema": {**one.schema, **default}}
    if route.declared.exports:
        formats = list(route.declared.formats)
        schema = {"type": "string", "enum": formats, "default": formats[0]}
        yield {"name": "format", "in": "query", "schema": schema}
        return
    page = route.query.page
    limit = {"type": "integer", "minimum": 1, "maximum": page.max, "default": page.limit}
    yield {"name": "limit", "in": "query", "schema": limit}
    yield {"name": "cursor", "in": "query", "schema": {"type": "string", "minLength": 1}}


def _headers(route: Route) -> Iterator[dict[str, Any]]:
    text = {"type": "string"}
    if route.declared.content in UPLOADS:
        yield {"name": DIGEST, "in": "header", "schema": text}
    if route.declared.content == "append":
        size = {"type": "integer", "minimum": 0}
        yield {"name": OFFSET, "in": "header", "required": True, "schema": size}
    if route.declared.content == "download":
        yield from (
            {"name": name, "in": "header", "schema": text} for name in ("Range", "If-Range")
        )
    if route.body is None or route.declared.content is not None:
        return
    key = {"type": "string", "pattern": "^[!-~]{1,255}$"}
    yield {"name": KEY, "in": "header", "required": route.method == "POST", "schema": key}
    mutation = {"type": "string", "pattern": "^[A-Za-z0-9._:~-]{1,128}$"}
    yield {"name": MUTATION, "in": "header", "schema": mutation}
    if route.interaction in TAGGED:
        yield {"name": "If-Match", "in": "header", "schema": {"type": "string"}}


def _request_body(route: Route) -> dict[str, Any]:
    taken = route.body.taken if route.body else {}
    schema = {
        "type": "object",
        "properties": {
            name: _property(one.field.schema, one.declared) for name, one in taken.items()
        },
        "required": [name for name, one in taken.items() if one.required],
        "additionalProperties": False,
    }
    if choices := route.body.choices if route.body else []:
        schema["oneOf"] = [{"required": [name]} for name in choices]
    return {
        "required": bool(schema["required"] or choices),
        "content": {"application/json": {"schema": schema}},
    }


def _property(schema: Mapping[str, Any], declared: Any) -> dict[str, Any]:
    if declared == REQUIRED:
        return {**schema, **({"minItems": 1} if schema.get("type") == "array" else {})}
    literal = declared not in (OPTIONAL, EITHER) and not str(declared).startswith("$")
    return {**schema, **({"default": declared} if literal else {})}


def _responses(route: Route) -> dict[str, Any]:
    answered = route.answered
    good = {
        "description": route.declared.summary,
        "content": {"application/json": {"schema": answered.schema}},
    }
    bad = {str(status): _refusal(why) for status, why in REFUSALS.items() if _can(route, status)}
    bytes_ = BYTES.get(route.declared.content or "", {})
    bad |= {str(status): _refusal(why) for status, why in bytes_.items()}
    if route.declared.content == "download":
        whole = {"description": route.declared.summary, "content": BINARY}
        part = {"description": "The range that was asked for", "content": BINARY}
        return {"200": whole, "206": part, **bad}
    if route.declared.exports:
        files = {TYPES[one].partition(";")[0]: FILE for one in route.declared.formats}
        good = {"description": "Every match, as a file", "content": files}
    return {str(answered.status): good, **bad}


def _can(route: Route, status: int) -> bool:
    if status == 404:
        return route.noun != ""
    return status not in WRITING or route.body is not None


def _refusal(why: str) -> dict[str, Any]:
    return {
        "description": why,
        "content": {"application/json": {"schema": ERROR}},
    }
