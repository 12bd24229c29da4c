"""Taking a signed JWT apart and proving its signature, RS256 and ES256 only.

Everything read before the proof is used for one purpose: choosing whose keys to try.
Keys come from the issuer's key set alone; header parameters that bring or point to a key,
or that change how the token is read, are refused.
https://www.rfc-editor.org/rfc/rfc8725
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from typing import Any, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_server.fhir.json import parse
from fhir_server.http.auth.refusal import invalid_token, missing
from fhir_server.problems import Problem

SigningKey = RSAKey | ECKey

ALGORITHM_OF_KEY_TYPE = {"RSA": "RS256", "EC": "ES256"}
MAX_HEADER = 24_576
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_KEY_BEARING = ("jwk", "jku", "x5u", "x5c", "crit", "b64", "enc", "zip")
_TYPES = {"jwt", "at+jwt", "application/jwt", "application/at+jwt"}
_REGISTRY = jws.JWSRegistry(algorithms=["RS256", "ES256"], strict_check_header=False)


class Unproven(NamedTuple):
    """A well-formed token whose signature nobody has checked: trust nothing in it."""

    compact: str
    algorithm: str
    key_id: str
    issuer: str


def bearer(authorization: str | None) -> str:
    """The compact token of an Authorization header; Problem 401 when there is none."""
    if not authorization:
        raise missing()
    if len(authorization) > MAX_HEADER:
        raise invalid_token("the Authorization header is too long")
    scheme, _, compact = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise missing()
    compact = compact.strip(" ")
    if not _COMPACT.fullmatch(compact):
        raise _not_a_token()
    return compact


def take_apart(compact: str) -> Unproven:
    header_part, claims_part, _ = compact.split(".")
    header, claims = _json_object(header_part), _json_object(claims_part)
    algorithm = header.get("alg")
    if algorithm not in ("RS256", "ES256"):
        raise invalid_token("the token must be signed with RS256 or ES256")
    _check_header(header)
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        raise invalid_token("the token has no issuer")
    return Unproven(compact, algorithm, header["kid"], issuer)


def proven_claims(token: Unproven, key: SigningKey) -> dict[str, Any]:
    """The claims, once the signature holds under `key`; Problem 401 when it does not."""
    if ALGORITHM_OF_KEY_TYPE[key.key_type] != token.algorithm:
        raise invalid_token("the token's algorithm is not that of its key")
    try:
        payload = jws.deserialize_compact(token.compact, key, registry=_REGISTRY).payload
    except (JoseError, ValueError, RecursionError) as error:
        raise invalid_token("the token's signature does not hold") from error
    return _read(payload or b"")


def _check_header(header: dict[str, Any]) -> None:
    if any(name in header for name in _KEY_BEARING):
        raise invalid_token("the token's header brings its own key or critical parameters")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= 256:
        raise invalid_token("the token names no key id")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise invalid_token("the token's typ is not that of an access token")


def _json_object(part: str) -> dict[str, Any]:
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise _not_a_token() from error
    return _read(data)


def _read(data: bytes) -> dict[str, Any]:
    """Strictly: of two equal names, another reader of the token may take the other one."""
    try:
        return parse(data)
    except Problem as error:
        raise _not_a_token() from error


def _not_a_token() -> Problem:
    return invalid_token("the access token is not a signed JWT")
