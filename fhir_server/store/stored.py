"""A resource as it lies in the store: its version facts, and its exact JSON text."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Stored(NamedTuple):
    """`body` is the resource's JSON, UTF-8, with id and meta as served."""

    type: str
    id: str
    version: int
    updated: datetime
    body: bytes

    @property
    def reference(self) -> str:
        """`Communication/0198…`."""
        return f"{self.type}/{self.id}"
