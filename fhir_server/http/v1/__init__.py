"""The v1 face: the product's own REST API, one loop over the compiled mappings.

Every route is a plain Starlette `Route` on an ASGI endpoint, so that a request pays for no
framework beyond the router.
"""

from __future__ import annotations

from starlette.routing import Route as HttpRoute

from fhir_server.http.auth import Authenticator
from fhir_server.http.v1.endpoint import Endpoint, Service, Unknown
from fhir_server.http.v1.legacy import succession
from fhir_server.interactions import Interactions
from fhir_server.mapping.loader import Mappings
from fhir_server.mapping.route import Route

__all__ = ["v1_routes"]


def v1_routes(
    mappings: Mappings,
    interactions: Interactions,
    authenticator: Authenticator,
    *,
    body_limit: int,
) -> list[HttpRoute]:
    """The routes of all mappings, under the prefix of the service and its legacy prefixes."""
    service = Service(interactions, authenticator, body_limit)
    return [
        route
        for prefix in (mappings.service.prefix, *mappings.service.legacy)
        for route in _below(prefix, mappings, service)
    ]


def _below(prefix: str, mappings: Mappings, service: Service) -> list[HttpRoute]:
    old = succession(mappings.service, prefix)
    templates: dict[str, dict[str, Route]] = {}
    for route in mappings.routes:
        templates.setdefault(route.template, {})[route.method] = route
    known = [
        HttpRoute(prefix + template, Endpoint(service, methods, old))
        for template, methods in templates.items()
    ]
    return [*known, HttpRoute(prefix + "/{rest:path}", Unknown())]
