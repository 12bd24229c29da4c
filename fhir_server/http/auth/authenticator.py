"""Authorization header → Context: the one place where a caller's identity is established."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from joserfc.jwk import ECKey

from fhir_server.context import Context, Face, Origin
from fhir_server.http.auth import claims as claim
from fhir_server.http.auth import devkey
from fhir_server.http.auth.discovery import Discovery
from fhir_server.http.auth.keys import FixedKeys, IssuerKeys, Keys
from fhir_server.http.auth.memory import Memory, Proven, fingerprint
from fhir_server.http.auth.refusal import invalid_token, missing
from fhir_server.http.auth.settings import AuthSettings
from fhir_server.http.auth.token import MAX_HEADER, Unproven, bearer, proven_claims, take_apart

_log = logging.getLogger(__name__)


class Issuer(NamedTuple):
    """One source of tokens: its keys and the audience its tokens must name."""

    keys: Keys
    audience: str


class Authenticator:
    """Proves tokens against the configured issuers. One per process; `aclose()` at the end.

    `clock` gives epoch seconds. DevelopmentKeyError when the key file cannot be used.
    """

    def __init__(self, settings: AuthSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._memory = Memory(settings.oidc_remembered_tokens)
        self._remote = _remote_keys(settings)
        self._issuers = self._trusted()

    async def context(
        self, authorization: str | None, face: Face, origin: Origin | None = None
    ) -> Context:
        """Problem 401 for anything but a good token, 503 while the issuer's keys are missing."""
        if not authorization:
            raise missing()
        if len(authorization) > MAX_HEADER:
            raise invalid_token("the Authorization header is too long")
        key = fingerprint(authorization)
        identity = self._memory.recall(key, self._clock())
        if identity is None:
            identity = await self._prove(authorization, key)
        return Context(*identity, face, origin=origin)

    async def aclose(self) -> None:
        if self._remote is not None:
            await self._remote.aclose()

    async def _prove(self, authorization: str, memory_key: bytes) -> claim.Identity:
        token = take_apart(bearer(authorization))
        issuer = self._issuers.get(token.issuer)
        if issuer is None:
            raise invalid_token("the token comes from an unknown issuer")
        # Read before the key is looked up: keys that change meanwhile cost one more proof.
        generation = issuer.keys.generation
        claims = await self._signed_claims(token, issuer)
        deadline = self._check(claims, issuer)
        identity = self._identity(claims, issuer)
        self._memory.keep(memory_key, Proven(identity, deadline, issuer.keys, generation))
        return identity

    async def _signed_claims(self, token: Unproven, issuer: Issuer) -> Mapping[str, Any]:
        key = await issuer.keys.find(token.key_id)
        if key is None:
            raise invalid_token("the token is signed with an unknown key")
        return proven_claims(token, key)

    def _check(self, claims: Mapping[str, Any], issuer: Issuer) -> float:
        deadline = claim.check_time(claims, self._clock(), self._settings.oidc_leeway)
        claim.check_audience(claims, issuer.audience)
        claim.check_kind(claims)
        return deadline

    def _identity(self, claims: Mapping[str, Any], issuer: Issuer) -> claim.Identity:
        client = self._settings.oidc_client or issuer.audience
        return claim.identity(claims, client, self._settings.oidc_fhir_base)

    def _trusted(self) -> dict[str, Issuer]:
        settings, trusted = self._settings, dict[str, Issuer]()
        if settings.accepts_development_key:
            keys = FixedKeys(_public(devkey.load_or_create(settings.data_dir)))
            audience = settings.oidc_audience or devkey.AUDIENCE
            trusted[devkey.ISSUER] = Issuer(keys, audience)
            if settings.oidc_issuer:
                _log.warning("tokens of the development key are taken too: not for production")
        if self._remote is not None and settings.oidc_issuer and settings.oidc_audience:
            trusted[settings.oidc_issuer] = Issuer(self._remote, settings.oidc_audience)
        return trusted


def _public(key: ECKey) -> dict[str, ECKey]:
    return {key.kid or "": ECKey.import_key(key.as_dict(private=False))}


def _remote_keys(settings: AuthSettings) -> IssuerKeys | None:
    if not settings.oidc_issuer:
        return None
    source = Discovery(settings.oidc_issuer, settings.oidc_jwks_uri, settings.oidc_timeout)
    return IssuerKeys(
        source.keys,
        ttl=settings.oidc_keys_ttl,
        max_age=settings.oidc_keys_max_age,
        refetch_interval=settings.oidc_refetch_interval,
    )
