"""A resource as it lies in the store: its version facts, and its exact JSON text."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Stored(NamedTuple):
    """`body` is the resource's JSON, UTF-8, with id and meta as served; `made` the method and the
    status of the request that made the version, where it was read: `PUT 200`."""

    type: str
    id: str
    version: int
    updated: datetime
    body: bytes
    made: str | None = None

    @property
    def reference(self) -> str:
        """`Communication/0198…`."""
        return f"{self.type}/{self.id}"
