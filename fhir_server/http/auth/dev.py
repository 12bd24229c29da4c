"""Minting tokens with the local development key, for `fhir-server token` and the demo."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from joserfc import jwt

from fhir_server.http.auth.devkey import AUDIENCE, ISSUER, DevelopmentKeyError, load_or_create
from fhir_server.http.auth.settings import AuthSettings


def mint(
    settings: AuthSettings,
    *,
    tenant: str,
    sub: str,
    roles: Iterable[str] = (),
    scope: str = "",
    patient: str | None = None,
    modules: Iterable[str] = (),
    fhir_user: str | None = None,
    ttl: int = 3600,
) -> str:
    """A compact token, good for `ttl` seconds. DevelopmentKeyError in production."""
    if not settings.accepts_development_key:
        raise DevelopmentKeyError("production takes tokens from its OIDC issuer only")
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": settings.oidc_audience or AUDIENCE,
        "iat": now,
        "exp": now + ttl,
        "jti": str(uuid4()),
        "tid": tenant,
        "sub": sub,
        "roles": sorted(roles),
        "modules": sorted(modules),
        "scope": scope,
    }
    optional = {"patient": patient, "fhirUser": fhir_user}
    claims |= {name: value for name, value in optional.items() if value is not None}
    key = load_or_create(settings.data_dir)
    return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key, algorithms=["ES256"])
