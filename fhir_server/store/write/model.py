"""What is to be written: versions, what they rest on, events, and kept answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from fhir_server.store.index_row import IndexRow
from fhir_server.store.stored import Stored

Kind = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Change:
    """One version to write: `base` is the version it supersedes, None where there is none."""

    kind: Kind
    stored: Stored
    row: IndexRow | None
    base: int | None


@dataclass(frozen=True, slots=True)
class Guard:
    """A row the decision rests on: it must still have this version at commit."""

    type: str
    id: str
    version: int


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """One event; `subject` is the aggregate as Type/id; `data` carries no patient data."""

    id: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier version that is overwritten, by a body of the same version."""

    type: str
    id: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to give again to the same caller, fingerprint and any of the keys; `expires`
    tells of each key until when."""

    caller: str
    fingerprint: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    expires: Mapping[str, datetime]
