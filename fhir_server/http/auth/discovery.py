"""Fetching an issuer's signing keys over HTTP: discovery document, then key set.

https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ssl import SSLContext, create_default_context
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from authlib.oidc.discovery import get_well_known_url
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_server.http.auth.token import SigningKey

MAX_BODY = 1_000_000
MIN_RSA_BITS = 2048
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class DiscoveryError(Exception):
    """The issuer could not be reached or did not answer as OpenID Connect asks."""


class Discovery:
    """Where one issuer's keys are; `keys()` fetches them, within `timeout` seconds in all."""

    def __init__(self, issuer: str, jwks_uri: str | None, timeout: float) -> None:
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._timeout = timeout
        self._tls: SSLContext = create_default_context()

    async def keys(self) -> Mapping[str, SigningKey]:
        """Key id → public key. DiscoveryError on any failure, an empty set included."""
        try:
            async with (
                asyncio.timeout(self._timeout),
                httpx.AsyncClient(verify=self._tls, timeout=self._timeout) as client,
            ):
                uri = self._jwks_uri or await self._discovered(client)
                found = signing_keys(await _json(client, uri))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            raise DiscoveryError(f"{type(error).__name__} while fetching keys") from error
        if not found:
            raise DiscoveryError("the key set holds no RS256 or ES256 signing key")
        return found

    async def document(self) -> Mapping[str, Any]:
        """The issuer's OpenID Connect configuration; DiscoveryError on any failure."""
        try:
            async with (
                asyncio.timeout(self._timeout),
                httpx.AsyncClient(verify=self._tls, timeout=self._timeout) as client,
            ):
                return await self._document(client)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            raise DiscoveryError(f"{type(error).__name__} while asking the issuer") from error

    async def _document(self, client: httpx.AsyncClient) -> Mapping[str, Any]:
        document = await _json(client, get_well_known_url(self._issuer, external=True))
        if document.get("issuer") != self._issuer:
            raise DiscoveryError("the discovery document names another issuer")
        return document

    async def _discovered(self, client: httpx.AsyncClient) -> str:
        document = await self._document(client)
        uri = document.get("jwks_uri")
        if not isinstance(uri, str) or not _as_safe_as(self._issuer, uri):
            raise DiscoveryError("the discovery document has no usable jwks_uri")
        return uri


def signing_keys(key_set: Mapping[str, Any]) -> dict[str, SigningKey]:
    """The usable keys of a JWK set; others (encryption, weak, other kinds) are passed over."""
    listed = key_set.get("keys")
    found: dict[str, SigningKey] = {}
    for jwk in listed if isinstance(listed, list) else ():
        key = _signing_key(jwk) if isinstance(jwk, dict) else None
        if key is not None:
            found.setdefault(jwk["kid"], key)
    return found


def _signing_key(jwk: Mapping[str, Any]) -> SigningKey | None:
    if jwk.get("use", "sig") != "sig" or not isinstance(jwk.get("kid"), str):
        return None
    try:
        match jwk:
            case {"kty": "RSA", "n": str(n), "e": str(e)} if jwk.get("alg", "RS256") == "RS256":
                rsa = RSAKey.import_key({"kty": "RSA", "n": n, "e": e})
                return rsa if rsa.public_key.key_size >= MIN_RSA_BITS else None
            case {"kty": "EC", "crv": "P-256", "x": str(x), "y": str(y)} if (
                jwk.get("alg", "ES256") == "ES256"
            ):
                return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    except (JoseError, ValueError):
        return None
    return None


async def _json(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async with client.stream("GET", url, headers=_HEADERS) as response:
        if response.status_code != httpx.codes.OK:
            raise DiscoveryError(f"the issuer answered {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BODY:
                raise DiscoveryError("the issuer's answer is too long")
    return _object(bytes(body))


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError as error:
        raise DiscoveryError("the issuer's answer is not JSON") from error
    if not isinstance(value, dict):
        raise DiscoveryError("the issuer's answer is not a JSON object")
    return value


def _as_safe_as(issuer: str, uri: str) -> bool:
    """An https issuer may not send us to plain http for its keys."""
    scheme = urlsplit(uri).scheme
    return scheme == "https" or (scheme == "http" and urlsplit(issuer).scheme == "http")
