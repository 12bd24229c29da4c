"""Who is asking, for which tenant, and with which rights: the value every call carries.

It is made once per request (from a verified token) or per job, and never changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Face = Literal["fhir", "v1", "job"]


@dataclass(slots=True)
class Origin:
    """Where a request came from: the client's `address` and its own name for the request
    (X-Request-Id). `told` counts what the audit trail recorded of it."""

    address: str | None = None
    request: str | None = None
    told: int = 0


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Context:
    """The caller of one interaction.

    `tenant` comes from the token's `tid` only; `user` is the caller as a FHIR reference
    (`Practitioner/amina`, `Patient/zahra`) or None for a pure system client; `patient` the
    patient in context (`Patient/zahra`); `roles`, `scopes`, `modules` as the token says; `origin`
    is None where nobody's request is behind it.
    """

    tenant: str
    subject: str
    user: str | None = None
    patient: str | None = None
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    face: Face = "fhir"
    now: datetime = field(default_factory=_now)
    origin: Origin | None = field(default=None, compare=False)

    @property
    def is_system(self) -> bool:
        """A trusted backend (role SERVICE): may write on behalf of others and choose ids."""
        return "SERVICE" in self.roles
