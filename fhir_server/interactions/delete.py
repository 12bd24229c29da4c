"""delete: the resource leaves the current rows; its versions stay in the history.

https://hl7.org/fhir/R4/http.html#delete
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.interactions.model import Draft, Read, Ref, Result, Snapshot
from fhir_server.interactions.update import Known, check_shown, check_version


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes; what is already gone stays gone and is no error."""

    ref: Ref
    if_match: Known | None = None

    @property
    def type(self) -> str:
        """The resource type."""
        return self.ref.type

    def reads(self) -> Iterable[Read]:
        """The current version."""
        return (Read(self.ref),)

    def previews(self) -> Iterable[Draft]:
        """Unknown before the current version is."""
        return ()

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """A tombstone, or nothing."""
        current = snapshot.get(self.ref)
        check_shown(current, self.ref)
        check_version(current, self.if_match)
        if current is None:
            return (), Result()
        resource = dict(current.resource)
        return (Draft("delete", self.ref.type, self.ref.id, resource, current),), Result()
