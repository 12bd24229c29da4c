"""The v1 face: the product's own REST API, one loop over the compiled mappings."""

from __future__ import annotations

from collections import defaultdict

from fhir_server.http.auth import Authenticator
from fhir_server.http.licences import Licences
from fhir_server.http.limits import Limits
from fhir_server.http.v1.content import Contents
from fhir_server.http.v1.endpoint import Service
from fhir_server.http.v1.face import V1Face
from fhir_server.http.v1.languages import Languages
from fhir_server.http.v1.legacy import succession
from fhir_server.interactions import Interactions
from fhir_server.mapping.loader import Mappings
from fhir_server.mapping.route import Route

__all__ = ["Contents", "V1Face", "v1_faces"]


def v1_faces(
    mappings: Mappings,
    interactions: Interactions,
    authenticator: Authenticator,
    licences: Licences,
    limits: Limits,
    contents: Contents,
    *,
    body_limit: int,
    patience: float,
) -> dict[str, V1Face]:
    """The routes of all mappings by prefix; the service's own once more for each old prefix."""
    languages = Languages(mappings.errors)
    service = Service(
        interactions, authenticator, licences, limits, languages, contents, body_limit, patience
    )
    routes: dict[str, list[Route]] = defaultdict(list)
    for route in mappings.routes:
        routes[route.prefix].append(route)
    own = routes[mappings.service.prefix]
    return {prefix: V1Face(found, prefix, service) for prefix, found in routes.items()} | {
        prefix: V1Face(own, prefix, service, succession(mappings.service, prefix))
        for prefix in mappings.service.legacy
    }
