"""One range of bytes. https://www.rfc-editor.org/rfc/rfc9110#section-14

A server may answer any other Range header with the whole, so several ranges at once get that.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fhir_server.http.wire import Request
from fhir_server.problems import Problem

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Span(NamedTuple):
    """The bytes from `start` up to `stop`."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many there are."""
        return self.stop - self.start


def asked_span(request: Request, size: int, etag: str) -> Span | None:
    """What of `size` bytes is asked for; None for the whole, 416 for what lies outside."""
    condition = request.header("if-range")
    changed = condition is not None and condition.strip() != etag
    if changed or request.method != "GET":
        return None
    found = _RANGE.fullmatch((request.header("range") or "").strip())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        span = Span(max(0, size - int(last)), size)
    else:
        span = Span(int(first), min(int(last) + 1 if last else size, size))
        if last and int(last) < int(first):
            return None
    if span.size <= 0:
        headers = {"content-range": f"bytes */{size}"}
        why = "the content has no such range"
        raise Problem(416, "invalid", why, v1_code="VALIDATION_ERROR", headers=headers)
    return span
