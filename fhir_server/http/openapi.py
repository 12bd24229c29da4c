"""The OpenAPI document of both faces, made of the mappings and of capability/.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from fhir_server.definitions.model import Definitions
from fhir_server.http.fhir.openapi import fhir_components, fhir_paths
from fhir_server.http.v1.openapi import v1_components, v1_paths
from fhir_server.mapping.loader import Mappings

SUMMARY = (
    "One FHIR R4 store with two faces: the FHIR REST API, and the product's own API, each of whose"
    " routes is exactly one FHIR interaction."
)


def openapi(definitions: Definitions, mappings: Mappings, version: str) -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "fhir-server", "version": version, "description": SUMMARY},
        "security": [{"bearer": []}],
        "paths": {**v1_paths(mappings), **fhir_paths(definitions)},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
            "schemas": {**v1_components(), **fhir_components()},
        },
    }


def openapi_route(definitions: Definitions, mappings: Mappings, version: str) -> HttpRoute:
    """`GET /openapi.json`, written once."""
    document = orjson.dumps(openapi(definitions, mappings, version))

    async def answer(_: Request) -> Response:
        return Response(document, media_type="application/json")

    return HttpRoute("/openapi.json", answer)
