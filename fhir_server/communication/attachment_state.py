"""What an attachment is in FHIR: its states, and where its DocumentReference says what.

`initiated` → `quarantined` (its content is here) → `clean` or `infected`. `status` and `docStatus`
follow from the state.
"""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.communication.parties import local
from fhir_server.definitions.loader import CANONICAL
from fhir_server.interactions.model import Ref, Resource

TYPE = "DocumentReference"
PROFILE = f"{CANONICAL}/StructureDefinition/comm-attachment"
STATE = f"{CANONICAL}/StructureDefinition/attachment-state"
SHA256 = f"{CANONICAL}/StructureDefinition/sha-256"
# The name that the file store gave the content.
FILE = f"{CANONICAL}/NamingSystem/file"
# Where the content is; a test holds it against the declared route.
ADDRESS = "/v1/communication/attachments/att_{id}/content"
INITIATED, QUARANTINED, CLEAN, INFECTED, ABANDONED, ERASED = (
    "initiated",
    "quarantined",
    "clean",
    "infected",
    "abandoned",
    "erased",
)
NEXT: Mapping[str, tuple[str, ...]] = {
    INITIATED: (QUARANTINED, ABANDONED),
    QUARANTINED: (CLEAN, INFECTED),
    # Once more: to record that its content is gone.
    INFECTED: (INFECTED,),
}
# State → status and docStatus.
STATUS: Mapping[str, tuple[str, str]] = {
    INITIATED: ("current", "preliminary"),
    QUARANTINED: ("current", "preliminary"),
    CLEAN: ("current", "final"),
    INFECTED: ("entered-in-error", "entered-in-error"),
    ABANDONED: ("entered-in-error", "entered-in-error"),
    ERASED: ("entered-in-error", "entered-in-error"),
}
UPLOADED = "communication.attachment.uploaded"
CLEARED = "communication.attachment.cleared"
FOUND_INFECTED = "communication.attachment.quarantined"
EVENTS: Mapping[str, str] = {
    QUARANTINED: UPLOADED,
    CLEAN: CLEARED,
    INFECTED: FOUND_INFECTED,
}


def thread_of(attachment: Resource) -> Ref | None:
    """The thread it was uploaded for."""
    related = attachment.get("context", {}).get("related", ())
    return next(iter(filter(None, map(local, related))), None)


def is_attachment(resource: Resource) -> bool:
    """Whether it was stored as one."""
    return PROFILE in resource.get("meta", {}).get("profile", ())


def state_of(resource: Resource) -> str | None:
    """Its state; None where it has none."""
    found = (e.get("valueCode") for e in resource.get("extension", ()) if e.get("url") == STATE)
    return next(found, None)


def content_of(resource: Resource) -> Resource:
    """Its one `content.attachment`."""
    attachment: Resource = resource["content"][0]["attachment"]
    return attachment


def sha256_of(resource: Resource) -> str | None:
    """The digest that was announced, or computed."""
    listed = content_of(resource).get("extension", ())
    return next((e.get("valueString") for e in listed if e.get("url") == SHA256), None)


def moved(resource: Resource, state: str) -> Resource:
    """A copy in that state; what follows from the state is the rule's to write."""
    others = [e for e in resource.get("extension", ()) if e.get("url") != STATE]
    return {**resource, "extension": [{"url": STATE, "valueCode": state}, *others]}


def file_of(resource: Resource) -> str | None:
    """The name of its content in the file store."""
    name: str | None = resource.get("masterIdentifier", {}).get("value")
    return name
