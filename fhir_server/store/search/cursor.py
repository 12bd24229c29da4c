"""The opaque position around a page: where the next one begins or the previous one ends, signed.

A cursor holds the sort values and id of a row, so a page continues after that row, or ends before
it, whatever was written meanwhile. Its signature also covers the tenant, the caller, the type and
the parameters: it is worth nothing with any other.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from fhir_server.context import Context
from fhir_server.problems import Problem
from fhir_server.store.search.order import Key

_SIGNATURE = 16
_LONGEST = 4096


class Place(NamedTuple):
    """Where a page is: after the row with these sort values, or `before` it; before the end of
    all rows where there are no values."""

    values: list[Any]
    before: bool = False


class Cursors:
    """Writes and reads cursors with the server's `key`."""

    def __init__(self, key: bytes) -> None:
        self._keyed = blake2b(key=blake2b(key).digest(), digest_size=_SIGNATURE)

    def write(self, scope: bytes, values: Sequence[Any], *, before: bool = False) -> str:
        """The cursor after the row with these sort `values`, or before it."""
        place = [_plain(value) for value in values]
        content = orjson.dumps({"before": place} if before else place)
        signed = self._signature(scope, content) + content
        return urlsafe_b64encode(signed).rstrip(b"=").decode()

    def read(self, scope: bytes, keys: tuple[Key, ...], text: str) -> Place:
        """The place that a cursor of this scope names; Problem 400 for any other text."""
        if len(text) > _LONGEST:
            raise _forged()
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (ValueError, binascii.Error):
            raise _forged() from None
        signature, content = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if not hmac.compare_digest(signature, self._signature(scope, content)):
            raise _forged()
        place = orjson.loads(content)
        if isinstance(place, list):
            return Place(_all_typed(keys, place))
        return Place(_all_typed(keys, place["before"]), before=True)

    def _signature(self, scope: bytes, content: bytes) -> bytes:
        signing = self._keyed.copy()
        signing.update(scope + b"\0" + content)
        return signing.digest()


def scope_of(
    ctx: Context, resource_type: str, params: Sequence[tuple[str, str]], keys: tuple[Key, ...]
) -> bytes:
    """What a cursor is bound to."""
    caller = [ctx.tenant, ctx.subject, ctx.user, resource_type]
    return orjson.dumps([caller, sorted(params), [key[:3] for key in keys]])


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value) if isinstance(value, Decimal) else value


def _all_typed(keys: tuple[Key, ...], values: list[Any]) -> list[Any]:
    return [_typed(key, value) for key, value in zip(keys, values, strict=bool(values))]


def _typed(key: Key, value: Any) -> Any:
    if value is None:
        return None
    if key.kind in {"updated", "instant"}:
        return datetime.fromisoformat(value)
    return Decimal(value) if key.kind == "amount" else value


def _forged() -> Problem:
    return Problem(400, "value", "_cursor is not a cursor of this search", expression="_cursor")
