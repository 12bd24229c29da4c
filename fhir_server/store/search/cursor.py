"""The opaque position after a page: where the next one begins, signed.

A cursor holds the sort values and id of the last row, so a page continues after that row
whatever was inserted meanwhile. Its signature also covers the tenant, the caller, the type and
the parameters: it is worth nothing with any other.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from fhir_server.context import Context
from fhir_server.problems import Problem
from fhir_server.store.search.order import Key

_SIGNATURE = 16
_LONGEST = 4096


class Cursors:
    """Writes and reads cursors with the server's `key`."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, scope: bytes, values: Sequence[Any]) -> str:
        """The cursor after the row with these sort `values`."""
        content = orjson.dumps([_plain(value) for value in values])
        signed = self._signature(scope, content) + content
        return urlsafe_b64encode(signed).rstrip(b"=").decode()

    def read(self, scope: bytes, keys: tuple[Key, ...], text: str) -> list[Any]:
        """The sort values in a cursor of this scope; Problem 400 for any other text."""
        if len(text) > _LONGEST:
            raise _forged()
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (ValueError, binascii.Error):
            raise _forged() from None
        signature, content = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if not hmac.compare_digest(signature, self._signature(scope, content)):
            raise _forged()
        values = orjson.loads(content)
        return [_typed(key, value) for key, value in zip(keys, values, strict=True)]

    def _signature(self, scope: bytes, content: bytes) -> bytes:
        return hmac.digest(self._key, scope + b"\0" + content, "sha256")[:_SIGNATURE]


def scope_of(
    ctx: Context, resource_type: str, params: Sequence[tuple[str, str]], keys: tuple[Key, ...]
) -> bytes:
    """What a cursor is bound to."""
    caller = [ctx.tenant, ctx.subject, ctx.user, resource_type]
    return orjson.dumps([caller, sorted(params), [list(key) for key in keys]])


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value) if isinstance(value, Decimal) else value


def _typed(key: Key, value: Any) -> Any:
    if value is None:
        return None
    if key.kind in {"updated", "instant"}:
        return datetime.fromisoformat(value)
    return Decimal(value) if key.kind == "amount" else value


def _forged() -> Problem:
    return Problem(400, "value", "_cursor is not a cursor of this search", expression="_cursor")
