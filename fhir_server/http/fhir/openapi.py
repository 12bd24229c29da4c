"""The FHIR half of the OpenAPI document: what capability/ serves.

Resources are described by their type only; what they may hold is said by their StructureDefinition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fhir_server.definitions.model import Definitions, ServedType
from fhir_server.http.fhir import ROUTES
from fhir_server.terminology.service import OPERATIONS

BASE = "/fhir/R4"
JSON = "application/fhir+json"
ID = {"type": "string", "pattern": "^[A-Za-z0-9\\-.]{1,64}$"}
PATHS: Mapping[str, str] = {
    "": "",
    "_search": "/_search",
    "id": "/{id}",
    "id/_history": "/{id}/_history",
    "id/_history/version": "/{id}/_history/{version}",
}
# Status of success and refusals by interaction.
STATUSES: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "search-type": (200, ()),
    "read": (200, (404, 410)),
    "vread": (200, (404, 410)),
    "history-instance": (200, (404,)),
    "create": (201, (409, 413, 415, 422)),
    "update": (200, (404, 405, 409, 412, 413, 415, 422)),
    "delete": (204, (404, 409, 412)),
    "operation": (200, (404, 409, 413, 415, 422)),
}
CONTROLS = ("_sort", "_count", "_total", "_include", "_revinclude", "_cursor")


def fhir_components() -> dict[str, Any]:
    """The schemas that interactions share."""
    return {
        "Resource": {
            "type": "object",
            "required": ["resourceType"],
            "properties": {"resourceType": {"type": "string"}, "id": ID},
        },
        "OperationOutcome": {
            "type": "object",
            "required": ["resourceType", "issue"],
            "properties": {
                "resourceType": {"const": "OperationOutcome"},
                "issue": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            },
        },
    }


def fhir_paths(definitions: Definitions) -> dict[str, Any]:
    """`/metadata` and every interaction and operation of every type."""
    metadata = {
        "operationId": "metadata",
        "summary": "What this server can do",
        "tags": ["FHIR"],
        "security": [],
        "responses": {"200": _content("CapabilityStatement", _resource("CapabilityStatement"))},
    }
    paths: dict[str, Any] = {f"{BASE}/metadata": {"get": metadata}}
    for served in definitions.types.values():
        for method, path, operation in (*_interactions(served), *_operations(served, definitions)):
            paths.setdefault(path, {})[method] = operation
    for served in definitions.published.values():
        for method, path, operation in (*_interactions(served), *_questions(served)):
            paths.setdefault(path, {})[method] = operation
    return paths


def _questions(served: ServedType) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The operations of a published type, which change nothing: GET and POST."""
    for name in served.operations:
        operation = OPERATIONS[served.name, name]
        for prefix in ("", "/{id}") if operation.instance else ("",):
            path = f"{BASE}/{served.name}{prefix}/${name}"
            for method in ("get", "post"):
                about = f"{name}-{served.name}{'-instance' if prefix else ''}-{method}"
                described = _operation(served.name, about, "operation", "id" if prefix else "")
                if method == "get":
                    del described["requestBody"]
                    described["parameters"] += _asked(operation.takes - operation.whole)
                yield method, path, described


def _asked(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": {"type": "string"}} for name in sorted(names)]


def _interactions(served: ServedType) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for (method, shape), interaction in ROUTES.items():
        if interaction in served.interactions and shape in PATHS:
            name = f"{interaction}-{served.name}" + ("-post" if shape == "_search" else "")
            described = _operation(served.name, name, interaction, shape)
            described["parameters"] += _searched(served) if (method, shape) == ("GET", "") else []
            if shape == "_search":
                described["requestBody"] = _form(served)
            yield method.lower(), f"{BASE}/{served.name}{PATHS[shape]}", described


def _operations(
    served: ServedType, definitions: Definitions
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, url in served.operations.items():
        definition = definitions.operations.get(url, {"type": True})
        shapes = {"": definition.get("type"), "/{id}": definition.get("instance")}
        for prefix in (prefix for prefix, there in shapes.items() if there):
            shape = "id" if prefix else ""
            described = _operation(served.name, f"{name}-{served.name}", "operation", shape)
            yield "post", f"{BASE}/{served.name}{prefix}/${name}", described


def _operation(resource: str, name: str, interaction: str, shape: str) -> dict[str, Any]:
    status, refusals = STATUSES[interaction]
    kinds = {"search-type": "Bundle", "history-instance": "Bundle", "operation": "Resource"}
    good = {"description": "Deleted"} if status == 204 else _given(kinds.get(interaction, resource))
    described: dict[str, Any] = {
        "operationId": name,
        "summary": f"{interaction} {resource}",
        "tags": [f"FHIR {resource}"],
        "parameters": list(_path(shape)),
        "responses": {
            str(status): good,
            **{str(code): _refusal() for code in (400, 401, 403, 406, *refusals, 503)},
        },
    }
    if interaction == "update":
        described["responses"]["201"] = _given(resource)
    if interaction in ("create", "update", "operation"):
        schema = _resource(None if interaction == "operation" else resource)
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return described


def _path(shape: str) -> Iterator[dict[str, Any]]:
    if shape.startswith("id"):
        yield {"name": "id", "in": "path", "required": True, "schema": ID}
    if shape.endswith("version"):
        schema = {"type": "integer", "minimum": 1}
        yield {"name": "version", "in": "path", "required": True, "schema": schema}


def _searched(served: ServedType) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": about, "schema": {"type": "string"}}
        for name, about in _names(served)
    ]


def _form(served: ServedType) -> dict[str, Any]:
    properties = {name: {"type": "string"} for name, _ in _names(served)}
    schema = {"type": "object", "properties": properties}
    return {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}


def _names(served: ServedType) -> list[tuple[str, str]]:
    codes = [(p.code, f"{p.type}: {p.expression}") for p in served.search.values()]
    stored = "create" in served.interactions
    controls = [name for name in CONTROLS if stored or not name.endswith("include")]
    return [*codes, *((name, "result parameter") for name in controls)]


def _resource(name: str | None) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": "#/components/schemas/Resource"}
    if name in (None, "Resource"):
        return schema
    return {"allOf": [schema, {"properties": {"resourceType": {"const": name}}}]}


def _given(name: str) -> dict[str, Any]:
    return _content(f"The {name}", _resource(name))


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _refusal() -> dict[str, Any]:
    return _content("Refused", {"$ref": "#/components/schemas/OperationOutcome"})
