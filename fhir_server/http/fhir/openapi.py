"""The FHIR half of the OpenAPI document: what capability/ serves.

Resources are described by their type only; what they may hold is said by their StructureDefinition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fhir_server.definitions.model import Definitions, ServedType
from fhir_server.http.fhir import ROUTES
from fhir_server.http.fhir.declared import owners, system_interactions
from fhir_server.http.fhir.operations import takes
from fhir_server.http.fhir.patches import JSON_PATCH, MERGE_PATCH
from fhir_server.http.fhir.representation.asked import MODES
from fhir_server.http.fhir.representation.formats import FHIR_JSON, FHIR_XML
from fhir_server.terminology.service import OPERATIONS

BASE = "/fhir/R4"
JSON, XML = FHIR_JSON, FHIR_XML
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
    "search-system": (200, ()),
    "update": (200, (404, 405, 409, 412, 413, 415, 422)),
    "patch": (200, (404, 409, 412, 413, 415, 422)),
    "delete": (204, (404, 409, 412)),
    "conditional-update": (200, (405, 409, 412, 413, 415, 422)),
    "conditional-patch": (200, (404, 409, 412, 413, 415, 422)),
    "conditional-delete": (204, (409, 412)),
    "operation": (200, (404, 409, 410, 413, 415, 422)),
    "transaction": (200, (404, 405, 409, 410, 412, 413, 415, 422)),
}
# The same resource; OpenAPI has no words for FHIR's XML.
AS_XML: Mapping[str, Any] = {"schema": {"type": "string"}}
# A JSON Patch, a FHIRPath Patch, or a merge patch.
PATCHES: Mapping[str, Any] = {
    JSON_PATCH: {"schema": {"type": "array", "items": {"type": "object"}}},
    JSON: {"schema": {"$ref": "#/components/schemas/Resource"}},
    XML: AS_XML,
    MERGE_PATCH: {"schema": {"type": "object"}},
}
# Which version a write is meant for.
MEANT = ("If-Match", "If-Unmodified-Since")
# Conditions that stand in a header.
HEADERS: Mapping[str, tuple[str, ...]] = {
    "create": ("If-None-Exist",),
    "read": ("If-None-Match", "If-Modified-Since"),
    "vread": ("If-None-Match", "If-Modified-Since"),
    "update": MEANT,
    "patch": MEANT,
    "delete": MEANT,
    "conditional-update": MEANT,
    "conditional-patch": MEANT,
    "conditional-delete": MEANT,
}
# How an answer looks; what is read may be a part.
LOOKS: Mapping[str, Any] = {"_format": {"enum": ["json", "xml"]}, "_pretty": {"type": "boolean"}}
PARTS: Mapping[str, Any] = {
    "_elements": {"type": "string"},
    "_summary": {"enum": ["true", "text", "data", "false"]},
}
COUNTED: Mapping[str, Any] = {**PARTS, "_summary": {"enum": list(MODES)}}
HISTORY = ("_since", "_at", "_count")
# Criteria that no type declares as its own.
CRITERIA = (("_filter", "criteria joined by and, or, not"), ("_list", "the id of a List"))
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
        "parameters": _looks("read"),
        "responses": {
            "200": _content("CapabilityStatement", _resource("CapabilityStatement")),
            **{str(code): _refusal() for code in (400, 406)},
        },
    }
    paths: dict[str, Any] = {f"{BASE}/metadata": {"get": metadata}}
    if system_interactions(definitions) & {"batch", "transaction"}:
        paths[BASE] = {"post": _whole()}
    if "history-system" in system_interactions(definitions):
        paths[f"{BASE}/_history"] = {"get": _history_of_all()}
    if "search-system" in system_interactions(definitions):
        paths[BASE] = {"get": _search_of_all("")}
        paths[f"{BASE}/_search"] = {"post": _search_of_all("_search")}
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
                described["requestBody"] = _form(_names(served))
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


def _whole() -> dict[str, Any]:
    found = _operation("Bundle", "transaction", "transaction", "")
    return {**found, "summary": "batch or transaction", "tags": ["FHIR"]}


def _search_of_all(shape: str) -> dict[str, Any]:
    name = "search-system" + ("-post" if shape else "")
    found = _operation("Bundle", name, "search-system", shape)
    found |= {"summary": "search-system", "tags": ["FHIR"]}
    names = [("_type", "the types to search"), ("_id", "token"), ("_lastUpdated", "date")]
    names += [*CRITERIA, *((name, "result parameter") for name in CONTROLS)]
    if shape:
        return {**found, "requestBody": _form(names)}
    found["parameters"] += _queried(names)
    return found


def _operations(
    served: ServedType, definitions: Definitions
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, url in served.operations.items():
        definition = definitions.operations.get(url, {"type": True})
        shapes = {"": definition.get("type"), "/{id}": definition.get("instance")}
        for prefix in (prefix for prefix, there in shapes.items() if there):
            shape = "id" if prefix else ""
            described = _operation(served.name, f"{name}-{served.name}", "operation", shape)
            path = f"{BASE}/{served.name}{prefix}/${name}"
            yield "post", path, described
            if not definition.get("affectsState", True):
                asked = _asked(takes(definitions, served.name, name))
                yield "get", path, _by_get(described, asked)


def _by_get(described: dict[str, Any], asked: list[dict[str, Any]]) -> dict[str, Any]:
    rest = {key: value for key, value in described.items() if key != "requestBody"}
    rest["operationId"] += "-get"
    return {**rest, "parameters": [*described["parameters"], *asked]}


def _operation(resource: str, name: str, interaction: str, shape: str) -> dict[str, Any]:
    status, refusals = STATUSES[interaction]
    kinds = {name: "Bundle" for name in STATUSES if name.startswith(("search", "history"))}
    kinds["operation"] = "Resource"
    good = {"description": "Deleted"} if status == 204 else _given(kinds.get(interaction, resource))
    described: dict[str, Any] = {
        "operationId": name,
        "summary": f"{interaction} {resource}",
        "tags": [f"FHIR {resource}"],
        "parameters": [*_path(shape), *_looks(interaction)],
        "responses": {
            str(status): good,
            **{str(code): _refusal() for code in (400, 401, 403, 406, *refusals, 503)},
        },
    }
    described["responses"] |= _otherwise(resource, interaction)
    described["parameters"] += _headers(interaction)
    if interaction in ("create", "update", "conditional-update", "operation", "transaction"):
        schema = _resource(None if interaction == "operation" else resource)
        described["requestBody"] = {"required": True, "content": _formats(schema)}
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


def _looks(interaction: str) -> list[dict[str, Any]]:
    schemas = dict(LOOKS)
    if interaction.startswith(("read", "vread", "history")):
        schemas |= PARTS
    if interaction.startswith("search"):
        schemas |= COUNTED
    return [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]


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
    return _queried(
        (name, about) for name, about in _names(served) if not (condition and name in CONTROLS)
    )


def _queried(names: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": about, "schema": {"type": "string"}}
        for name, about in names
    ]


def _form(names: Iterable[tuple[str, str]]) -> dict[str, Any]:
    properties = {name: {"type": "string"} for name, _ in names}
    schema = {"type": "object", "properties": properties}
    return {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}


def _names(served: ServedType) -> list[tuple[str, str]]:
    codes = [(p.code, f"{p.type}: {p.expression}") for p in served.search.values()]
    stored = "create" in served.interactions
    controls = [name for name in CONTROLS if stored or not name.endswith("include")]
    criteria = CRITERIA if stored else ()
    return [*codes, *criteria, *((name, "result parameter") for name in controls)]


def _resource(name: str | None) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": "#/components/schemas/Resource"}
    if name in (None, "Resource"):
        return schema
    return {"allOf": [schema, {"properties": {"resourceType": {"const": name}}}]}


def _given(name: str) -> dict[str, Any]:
    return _content(f"The {name}", _resource(name))


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": _formats(schema)}


def _formats(schema: dict[str, Any]) -> dict[str, Any]:
    return {JSON: {"schema": schema}, XML: AS_XML}


def _refusal() -> dict[str, Any]:
    return _content("Refused", {"$ref": "#/components/schemas/OperationOutcome"})
