"""What a message carries besides words: attachments of its thread, each scanned and clean.

Bytes that came in the message itself, or lie at an address elsewhere, were never scanned; they are
refused. https://hl7.org/fhir/R4/communication-definitions.html#Communication.payload.content_x_
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from fhir_server.communication.attachment_state import (
    ADDRESS,
    CLEAN,
    INITIATED,
    QUARANTINED,
    TYPE,
    is_attachment,
    state_of,
    thread_of,
)
from fhir_server.communication.parties import local
from fhir_server.fhir.reference import parse
from fhir_server.interactions.model import Read, Ref, Resource, Snapshot
from fhir_server.problems import Problem, conflict

# Types that are, or may hold, files that nobody scanned.
FILES: Final = frozenset({"Binary", "Bundle", "DocumentManifest", "DocumentReference", "Media"})
_ID = r"([A-Za-z0-9.-]{1,64})"
# How FHIR clients may name one in an Attachment: the resource, or the address of its content.
_URLS: Final = (
    re.compile(f"{TYPE}/{_ID}"),
    re.compile(ADDRESS.replace("{id}", _ID)),
)


def reads(message: Resource) -> Iterator[Read]:
    """The attachments, which must stay clean until the message is in."""
    for part in message.get("payload", ()):
        ref = _named(part)
        if ref:
            yield Read(ref, guard=True)


def check(message: Resource, thread: Ref, snapshot: Snapshot) -> None:
    """Refuses what may not be sent, and names the rest in one way, as contentReference."""
    parts = enumerate(message.get("payload", ()))
    message["payload"] = [_checked(part, n, thread, snapshot) for n, part in parts]


def check_documents(record: Resource, snapshot: Snapshot) -> None:
    """Refuses what its writer may not read, and attachments: to name one would open it."""
    for n, part in enumerate(record.get("payload", ())):
        ref = _named(part)
        seen = snapshot.get(ref) if ref else None
        shown = seen is not None and seen.allowed and not is_attachment(seen.resource)
        if ref and not shown:
            why = "it is no document of a chart that is open to you"
            raise _rejected(why, n, record["resourceType"])


def _checked(part: Resource, n: int, thread: Ref, snapshot: Snapshot) -> Resource:
    ref = _named(part)
    if ref is None:
        if "contentAttachment" in part or _leads_to_a_file(part):
            raise _rejected("content is uploaded first, and then sent by its reference", n)
        return part
    _check_clean(ref, n, thread, snapshot)
    kept = {name: value for name, value in part.items() if not name.startswith("content")}
    return {**kept, "contentReference": {"reference": f"{ref.type}/{ref.id}"}}


def _check_clean(ref: Ref, n: int, thread: Ref, snapshot: Snapshot) -> None:
    seen = snapshot.get(ref)
    # One answer for what is not there and what is not the caller's: it tells nothing of others.
    if seen is None or not seen.allowed or not is_attachment(seen.resource):
        raise _rejected("there is no such attachment", n)
    if thread_of(seen.resource) != thread:
        raise _rejected("the attachment was uploaded for another thread", n)
    state = state_of(seen.resource)
    if state in (INITIATED, QUARANTINED):
        why = "the attachment is not uploaded and scanned yet"
        raise conflict(why, v1_code="INVALID_STATE_TRANSITION")
    if state != CLEAN:
        raise _rejected("the attachment was found unfit to be sent", n)


def _named(part: Resource) -> Ref | None:
    """The DocumentReference that a part of the payload is."""
    ref = local(part.get("contentReference"))
    if ref and ref.type == TYPE:
        return ref
    attachment = part.get("contentAttachment", {})
    url = attachment.get("url") if "data" not in attachment else None
    matches = (form.fullmatch(url) for form in _URLS) if isinstance(url, str) else ()
    return next((Ref(TYPE, found[1]) for found in matches if found), None)


def _leads_to_a_file(part: Resource) -> bool:
    """Whether it refers to something that may hold bytes: in the message itself, or elsewhere."""
    text = part.get("contentReference", {}).get("reference")
    found = parse(text) if isinstance(text, str) else None
    return found is not None and (found.fragment is not None or found.type in FILES)


def _rejected(why: str, n: int, kind: str = "Communication") -> Problem:
    place = f"{kind}.payload[{n}].content.ofType(Reference).reference"
    return Problem(422, "processing", why, expression=place, v1_code="ATTACHMENT_REJECTED")
