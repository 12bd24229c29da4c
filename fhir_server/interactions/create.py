"""create: a new resource under an id of the server's. https://hl7.org/fhir/R4/http.html#create"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.interactions.model import Draft, Read, Resource, Result, Snapshot
from fhir_server.problems import invalid


@dataclass(frozen=True, slots=True)
class Create:
    """The plan of one create; a client's id in the body is ignored, as the specification says."""

    type: str
    id: str
    resource: Resource

    def reads(self) -> Iterable[Read]:
        """Nothing of its own: only what the rules want."""
        return ()

    def previews(self) -> Iterable[Draft]:
        """The draft itself."""
        return (self._draft(),)

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """One new version."""
        return (self._draft(),), Result()

    def _draft(self) -> Draft:
        body = {key: value for key, value in self.resource.items() if key != "id"}
        return Draft("create", self.type, self.id, body)


def check_type(resource_type: str, resource: Resource) -> None:
    """400 where the body is of another type than the address."""
    if resource.get("resourceType") != resource_type:
        raise invalid(f"the body must be a {resource_type}, as the address says", "resourceType")
