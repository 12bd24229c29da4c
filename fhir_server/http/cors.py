"""Which web pages a browser lets speak to this server. https://fetch.spec.whatwg.org/#cors-protocol

Sign-in is by bearer token, never by cookie: a page gets nothing here that its own token does not
open, and browsers are not asked to send credentials along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# What a page may send …
SENT = (
    "Accept",
    "Authorization",
    "Content-Digest",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "If-None-Exist",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Prefer",
    "Range",
    "Repr-Digest",
    "Upload-Offset",
    "X-Client-Mutation-Id",
    "X-Request-Id",
)
# … and what it may read of an answer, beyond what every page may.
READ = (
    "Accept-Ranges",
    "Allow",
    "Content-Disposition",
    "Content-Location",
    "Content-Range",
    "Deprecation",
    "ETag",
    "Idempotency-Replayed",
    "Last-Modified",
    "Link",
    "Location",
    "Retry-After",
    "Sunset",
    "Upload-Offset",
    "WWW-Authenticate",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-Id",
)
# Seconds for which a browser need not ask again.
REMEMBERED = 600


def rules(origins: Sequence[str]) -> dict[str, Any]:
    """What Starlette's middleware takes."""
    return {
        "allow_origins": origins,
        "allow_methods": METHODS,
        "allow_headers": SENT,
        "expose_headers": READ,
        "max_age": REMEMBERED,
    }


def open_to(origins: Sequence[str], app: ASGIApp) -> ASGIApp:
    """`app`, with preflights of pages from `origins` answered; as it is where there are none."""
    return CORSMiddleware(app, **rules(origins)) if origins else app


def read_origins(text: str | None) -> tuple[str, ...]:
    """`https://a.example, https://b.example:8443` or `*`; ValueError for what is no origin."""
    origins = tuple(origin.strip() for origin in (text or "").split(",") if origin.strip())
    for origin in origins:
        if origin != "*" and not _is_origin(origin):
            raise ValueError(f"{origin} is not an origin such as https://app.example.org")
    return origins


def _is_origin(text: str) -> bool:
    """Scheme, host and port only, as browsers write it: in lower case."""
    parts = urlsplit(text)
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and text == f"{parts.scheme}://{parts.netloc}".lower()
        and "@" not in text
    )
