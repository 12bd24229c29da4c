"""The refusals of sign-in, as RFC 6750 words them; none repeats any part of a token.

https://www.rfc-editor.org/rfc/rfc6750#section-3
"""

from __future__ import annotations

from fhir_server.problems import Problem

CHALLENGE = 'Bearer realm="fhir-server"'


def missing() -> Problem:
    """401 without an error code: the client sent no credentials to be wrong."""
    return Problem(
        401, "login", "a Bearer access token is required", headers={"WWW-Authenticate": CHALLENGE}
    )


def invalid_token(why: str, code: str = "login") -> Problem:
    """401; `why` must be plain words without quotes, backslashes or token contents."""
    header = f'{CHALLENGE}, error="invalid_token", error_description="{why}"'
    return Problem(401, code, why, headers={"WWW-Authenticate": header})


def insufficient_scope(why: str, scope: str | None = None) -> Problem:
    """403; `scope` names one that would have sufficed."""
    header = f'{CHALLENGE}, error="insufficient_scope"' + (f', scope="{scope}"' if scope else "")
    return Problem(403, "forbidden", why, headers={"WWW-Authenticate": header})


def keys_unavailable(retry_after: int) -> Problem:
    """503: no token can be judged until the issuer has given its keys once."""
    return Problem(
        503,
        "transient",
        "the token issuer's keys cannot be had at present",
        headers={"Retry-After": str(retry_after)},
    )
