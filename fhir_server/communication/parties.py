"""Who takes part: references of senders and recipients, and the checks both rules share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir.reference import parse
from fhir_server.interactions.model import Read, Ref, Resource, Snapshot
from fhir_server.problems import forbidden, invalid

Reference = Mapping[str, Any]


def local(reference: Reference | None) -> Ref | None:
    """The resource of this server that it names; None for a logical, absent or foreign one."""
    text = (reference or {}).get("reference")
    parsed = parse(text) if isinstance(text, str) else None
    if parsed is None or not parsed.type or not parsed.id or parsed.url:
        return None
    return Ref(parsed.type, parsed.id)


def parties(resource: Resource) -> set[str]:
    """`Type/id` of the sender and of every recipient."""
    found = [local(resource.get("sender")), *map(local, resource.get("recipient", ()))]
    return {f"{ref.type}/{ref.id}" for ref in found if ref}


def reads(references: Iterable[Reference | None]) -> Iterable[Read]:
    """Reads of those that name a resource of this server."""
    return (Read(ref) for ref in map(local, references) if ref)


def check_known(references: Iterable[Reference | None], snapshot: Snapshot) -> None:
    """403 where one names a resource that this tenant does not have."""
    for reference in references:
        ref = local(reference)
        if ref and ref not in snapshot:
            raise forbidden("a participant does not belong to your organisation")


def check_chart(about: Reference | None, snapshot: Snapshot) -> None:
    """403 where the caller may not read that patient's chart, or that part of it."""
    ref = local(about)
    if ref and (ref not in snapshot or not snapshot[ref].allowed):
        raise forbidden("you have no access to this patient's chart")


def signed(ctx: Context, resource: Resource, element: str = "sender") -> Reference:
    """The sender (or another `element`): the caller, unless a system client names someone; 403
    for another's name. Nothing else of it is taken over: a display may be another's name too."""
    named: Reference | None = resource.get(element)
    if ctx.is_system and named:
        return named
    if ctx.user is None:
        place = f"{resource.get('resourceType')}.{element}"
        raise invalid(f"{element} is required from a client that is no person", place)
    if named and named.get("reference") not in (None, ctx.user):
        raise forbidden("you may write in your own name only")
    return {"reference": ctx.user}


def changed(before: Resource, after: Resource) -> set[str]:
    """The names of the elements that differ."""
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}
