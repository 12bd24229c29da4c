"""What the proven claims of a token say about its bearer.

Claims of the wrong shape refuse the token: a role list that is not a list is a mistake of
the issuer's set-up, and guessing at it could grant too much.
Keycloak's places for roles: https://www.keycloak.org/docs/latest/server_admin/#_oidc_token_mappers
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from fhir_server.http.auth.refusal import invalid_token
from fhir_server.problems import Problem

Claims = Mapping[str, Any]

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_SUBJECT = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_FHIR_USER = re.compile(
    r"(?:(?P<base>[\x21-\x7e]{1,1024})/)?(?P<type>[A-Za-z]+)/(?P<id>[A-Za-z0-9.-]{1,64})", re.ASCII
)
_USER_TYPES = frozenset({"Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Person"})
_TYPE_OF_PREFIX = {"usr": "Practitioner", "pat": "Patient", "rel": "RelatedPerson"}
# Keycloak marks its other kinds of JWT in the body; none of them is an access token.
_OTHER_KINDS = frozenset({"ID", "Refresh", "Offline", "Logout"})


class Identity(NamedTuple):
    """The parts of a Context that stay the same for the life of a token."""

    tenant: str
    subject: str
    user: str | None
    patient: str | None
    roles: frozenset[str]
    scopes: frozenset[str]
    modules: frozenset[str]


def check_time(claims: Claims, now: float, leeway: float) -> float:
    """The moment (epoch seconds, leeway included) at which the token stops being good."""
    expires = _moment(claims, "exp")
    if expires is None:
        raise invalid_token("the token has no expiry")
    if expires + leeway <= now:
        raise invalid_token("the token has expired", "expired")
    for name in ("nbf", "iat"):
        starts = _moment(claims, name)
        if starts is not None and starts - leeway > now:
            raise invalid_token("the token is not valid yet")
    return expires + leeway


def check_audience(claims: Claims, audience: str) -> None:
    given = claims.get("aud")
    held = [given] if isinstance(given, str) else given
    if not isinstance(held, list) or audience not in held:
        raise invalid_token("the token is meant for another audience")


def check_kind(claims: Claims) -> None:
    kind = claims.get("typ")
    if isinstance(kind, str) and kind in _OTHER_KINDS:
        raise invalid_token("the token is not an access token")


def identity(claims: Claims, client: str, fhir_base: str | None = None) -> Identity:
    """Who the bearer is; `client` is the one whose `resource_access` roles count."""
    subject = _matching(claims, "sub", _SUBJECT)
    user = _user(claims, subject, fhir_base)
    return Identity(
        tenant=_matching(claims, "tid", _TENANT),
        subject=subject,
        user=user,
        patient=_patient(claims, user),
        roles=_roles(claims, client),
        scopes=_scopes(claims),
        modules=_words(claims, "modules"),
    )


def _moment(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _malformed(name)
    return float(value)


def _matching(claims: Claims, name: str, pattern: re.Pattern[str]) -> str:
    value = claims.get(name)
    if value is None:
        raise invalid_token(f"the token has no {name}")
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _malformed(name)
    return value


def _user(claims: Claims, subject: str, fhir_base: str | None) -> str | None:
    stated = claims.get("fhirUser")
    if stated is not None:
        return _fhir_user(stated, fhir_base)
    prefix, separator, rest = subject.partition("_")
    kind = _TYPE_OF_PREFIX.get(prefix) if separator else None
    if kind is None:
        return None
    if not _ID.fullmatch(rest):
        raise _malformed("sub")
    return f"{kind}/{rest}"


def _fhir_user(stated: object, fhir_base: str | None) -> str:
    parts = _FHIR_USER.fullmatch(stated) if isinstance(stated, str) else None
    if parts is None or parts["type"] not in _USER_TYPES:
        raise _malformed("fhirUser")
    if parts["base"] is not None and not _under(parts["base"], fhir_base):
        raise invalid_token("the token's fhirUser lies on another server")
    return f"{parts['type']}/{parts['id']}"


def _under(base: str, fhir_base: str | None) -> bool:
    if fhir_base is not None:
        return base == fhir_base.rstrip("/")
    return base.startswith(("https://", "http://"))


def _patient(claims: Claims, user: str | None) -> str | None:
    stated = claims.get("patient")
    if stated is None:
        return user if user is not None and user.startswith("Patient/") else None
    if not isinstance(stated, str):
        raise _malformed("patient")
    bare = stated.removeprefix("Patient/").removeprefix("pat_")
    if not _ID.fullmatch(bare):
        raise _malformed("patient")
    return f"Patient/{bare}"


def _roles(claims: Claims, client: str) -> frozenset[str]:
    access = _object(claims, "resource_access")
    return (
        _words(claims, "roles")
        | _words(_object(claims, "realm_access"), "roles")
        | _words(_object(access, client), "roles")
    )


def _scopes(claims: Claims) -> frozenset[str]:
    value = claims.get("scope", "")
    if not isinstance(value, str):
        raise _malformed("scope")
    return frozenset(value.split())


def _object(claims: Claims, name: str) -> Claims:
    value = claims.get(name, {})
    if not isinstance(value, dict):
        raise _malformed("roles")
    return value


def _words(claims: Claims, name: str) -> frozenset[str]:
    value = claims.get(name, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise _malformed(name)
    return frozenset(value)


def _malformed(name: str) -> Problem:
    return invalid_token(f"the token's {name} claim is malformed")
