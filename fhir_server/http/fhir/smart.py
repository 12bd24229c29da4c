"""/.well-known/smart-configuration: where an app signs in, and what its token may then say.

https://hl7.org/fhir/smart-app-launch/conformance.html#using-well-known
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fhir_server.fhir.json import dumps
from fhir_server.http.auth.discovery import Discovery, DiscoveryError
from fhir_server.http.auth.refusal import keys_unavailable
from fhir_server.http.auth.settings import AuthSettings
from fhir_server.http.wire import Reply

Json = Mapping[str, Any]
# What this server adds to what its issuer can do.
CAPABILITIES: Final = ("permission-patient", "permission-user", "permission-v1", "permission-v2")
# What the issuer says of itself.
TAKEN: Final = (
    "issuer",
    "jwks_uri",
    "authorization_endpoint",
    "token_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "registration_endpoint",
    "grant_types_supported",
    "response_types_supported",
    "scopes_supported",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
)
RETRY: Final = 10


class SmartConfiguration:
    """The issuer's own words, fetched by `discover` and kept for `ttl` seconds; what was fetched
    before stands while the issuer is down."""

    def __init__(
        self,
        discover: Callable[[], Awaitable[Json]],
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._discover = discover
        self._ttl = ttl
        self._clock = clock
        self._known: Json | None = None
        self._until = 0.0

    async def reply(self) -> Reply:
        """Problem 503 while the issuer has never answered."""
        if self._known is None or self._clock() >= self._until:
            await self._renew()
        return Reply(200, dumps(dict(self._known or {})), {"content-type": "application/json"})

    async def _renew(self) -> None:
        try:
            self._known = configuration(await self._discover())
            self._until = self._clock() + self._ttl
        except DiscoveryError:
            if self._known is None:
                raise keys_unavailable(RETRY) from None
            self._until = self._clock() + RETRY


def smart_configuration(settings: AuthSettings) -> SmartConfiguration | None:
    """That of the configured issuer; None without one."""
    if not settings.oidc_issuer:
        return None
    issuer = Discovery(settings.oidc_issuer, None, settings.oidc_timeout)
    return SmartConfiguration(issuer.document, settings.oidc_keys_ttl)


def configuration(issuer: Json) -> Json:
    """The document, from the issuer's OpenID Connect one."""
    single_sign_on = ("sso-openid-connect",) if "authorization_endpoint" in issuer else ()
    taken = {name: issuer[name] for name in TAKEN if name in issuer}
    return {**taken, "capabilities": [*CAPABILITIES, *single_sign_on]}
