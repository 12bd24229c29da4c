"""The FHIR half of the OpenAPI document: what capability/ serves.

Resources are described by their type only; what they may hold is said by their StructureDefinition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fhir_server.definitions.model import Definitions, ServedType
from fhir_server.http.fhir import ROUTES
from fhir_server.http.fhir.declared import owners, system_interactions
from fhir_server.http.fhir.patches import JSON_PATCH
from fhir_server.terminology.service import OPERATIONS

BASE = "/fhir/R4"
JSON = "application/fhir+json"
ID = {"type": "string", "pattern": "^[A-Za-z0-9\\-.]{1,64}$"}
PATHS: Mapping[str, str] = {
    "": "",
    "_search": "/_search",
    "id": "/{id}",
    "_history": "/_history",
    "id/_history": "/{id}/_history",
    "id/_history/version": "/{id}/_history/{version}",
}
# Status of success and refusals by interaction.
STATUSES: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "search-type": (200, ()),
    "read": (200, (404, 410)),
    "vread": (200, (404, 410)),
    "history-instance": (200, (404,)),
    "create": (201, (409, 412, 413, 415, 422)),
    "history-type": (200, ()),
    "history-system": (200, ()),
    "search-compartment": (200, (404,)),
    "update": (200, (404, 405, 409, 412, 413, 415, 422)),
    "patch": (200, (404, 409, 412, 413, 415, 422)),
    "delete": (204, (404, 409, 412)),
    "conditional-update": (200, (405, 409, 412, 413, 415, 422)),
    "conditional-patch": (200, (404, 409, 412, 413, 415, 422)),
    "conditional-delete": (204, (409, 412)),
    "operation": (200, (404, 409, 413, 415, 422)),
}
# A JSON Patch, or a FHIRPath Patch.
PATCHES: Mapping[str, Any] = {
    JSON_PATCH: {"schema": {"type": "array", "items": {"type": "object"}}},
    JSON: {"schema": {"$ref": "#/components/schemas/Resource"}},
}
# Conditions that stand in a header.
HEADERS: Mapping[str, tuple[str, ...]] = {
    "create": ("If-None-Exist",),
    "read": ("If-None-Match", "If-Modified-Since"),
    "vread": ("If-None-Match", "If-Modified-Since"),
    "update": ("If-Match",),
    "delete": ("If-Match",),
    "conditional-update": ("If-Match",),
    "conditional-patch": ("If-Match",),
    "conditional-delete": ("If-Match",),
}
HISTORY = ("_since", "_at", "_count")
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
    if "history-system" in system_interactions(definitions):
        paths[f"{BASE}/_history"] = {"get": _history_of_all()}
    for served in definitions.types.values():
        for method, path, operation in (
            *_interactions(served),
            *_operations(served, definitions),
            *_compartments(served, definitions),
        ):
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
            if shape == "" and method != "POST":
                described["parameters"] += _searched(served, condition=method != "GET")
            if shape == "_search":
                described["requestBody"] = _form(served)
            yield method.lower(), f"{BASE}/{served.name}{PATHS[shape]}", described


def _compartments(
    served: ServedType, definitions: Definitions
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for owner in sorted(owners(definitions)):
        if served.name in definitions.compartments[owner]:
            name = f"search-{owner}-{served.name}"
            described = _operation(served.name, name, "search-compartment", "id")
            described["parameters"] += _searched(served, condition=False)
            yield "get", f"{BASE}/{owner}/{{id}}/{served.name}", described


def _history_of_all() -> dict[str, Any]:
    found = _operation("Bundle", "history-system", "history-system", "_history")
    return {**found, "summary": "history-system", "tags": ["FHIR"]}


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
    kinds = {name: "Bundle" for name in STATUSES if name.startswith(("search", "history"))}
    kinds["operation"] = "Resource"
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
    described["responses"] |= _otherwise(resource, interaction)
    described["parameters"] += _headers(interaction)
    if interaction in ("create", "update", "conditional-update", "operation"):
        schema = _resource(None if interaction == "operation" else resource)
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    if interaction in ("patch", "conditional-patch"):
        described["requestBody"] = {"required": True, "content": PATCHES}
    return described


def _otherwise(resource: str, interaction: str) -> dict[str, Any]:
    """What an interaction also answers where it went well."""
    match interaction:
        case "update" | "conditional-update":
            return {"201": _given(resource)}
        case "create":
            return {"200": _content(f"The {resource} that was there", _resource(resource))}
        case "delete" | "conditional-delete":
            return {"200": _given("OperationOutcome")}
        case "read" | "vread":
            return {"304": {"description": "The client has this version already"}}
    return {}


def _headers(interaction: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "schema": {"type": "string"}}
        for name in HEADERS.get(interaction, ())
    ]


def _path(shape: str) -> Iterator[dict[str, Any]]:
    if shape.startswith("id"):
        yield {"name": "id", "in": "path", "required": True, "schema": ID}
    for name in HISTORY if shape.endswith("_history") else ():
        yield {"name": name, "in": "query", "schema": {"type": "string"}}
    if shape.endswith("version"):
        schema = {"type": "integer", "minimum": 1}
        yield {"name": "version", "in": "path", "required": True, "schema": schema}


def _searched(served: ServedType, *, condition: bool) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": about, "schema": {"type": "string"}}
        for name, about in _names(served)
        if not (condition and name in CONTROLS)
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
