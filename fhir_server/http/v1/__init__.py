"""The v1 face: the product's own REST API, one loop over the compiled mappings."""

from __future__ import annotations

from fhir_server.http.auth import Authenticator
from fhir_server.http.licences import Licences
from fhir_server.http.limits import Limits
from fhir_server.http.v1.content import Contents
from fhir_server.http.v1.endpoint import Service
from fhir_server.http.v1.face import V1Face
from fhir_server.http.v1.languages import Languages
from fhir_server.interactions import Interactions
from fhir_server.mapping.loader import Mappings

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
    """The routes of all mappings, once for the service's prefix and each legacy prefix."""
    languages = Languages(mappings.errors)
    service = Service(
        interactions, authenticator, licences, limits, languages, contents, body_limit, patience
    )
    prefixes = (mappings.service.prefix, *mappings.service.legacy)
    return {prefix: V1Face(mappings, prefix, service) for prefix in prefixes}
