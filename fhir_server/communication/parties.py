"""Who takes part: references of senders and recipients, and the checks both rules share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir.reference import parse
from fhir_server.interactions.model import Read, Ref, Resource, Snapshot
from fhir_server.problems import Problem, forbidden, invalid

Reference = Mapping[str, Any]
PEOPLE = ("Practitioner", "Patient", "RelatedPerson")


def local(reference: Reference | None) -> Ref | None:
    """The resource of this server that it names; None for a logical, absent or foreign one."""
    text = (reference or {}).get("reference")
    parsed = parse(text) if isinstance(text, str) else None
    if parsed is None or not parsed.type or not parsed.id or parsed.url:
        return None
    return Ref(parsed.type, parsed.id)


def parties(resource: Resource) -> set[str]:
    """`Type/id` of the sender and of every recipient."""
    return named([resource.get("sender"), *resource.get("recipient", ())])


def named(references: Iterable[Reference | None]) -> set[str]:
    """`Type/id` of each."""
    return {f"{ref.type}/{ref.id}" for ref in map(local, references) if ref}


def name_people(resource: Resource) -> None:
    """Sender and recipients by `Type/id`: a person is no version of himself, and search, receipts
    and access policy are to mean the same one."""
    if "sender" in resource:
        resource["sender"] = _unversioned(resource["sender"])
    if "recipient" in resource:
        resource["recipient"] = [_unversioned(one) for one in resource["recipient"]]


def _unversioned(reference: Reference) -> Reference:
    ref = local(reference)
    return {**reference, "reference": f"{ref.type}/{ref.id}"} if ref else reference


def reads(references: Iterable[Reference | None]) -> Iterable[Read]:
    """Reads of those that name a resource of this server."""
    return (Read(ref) for ref in map(local, references) if ref)


def check_known(references: Iterable[Reference | None], snapshot: Snapshot) -> None:
    """403 where one names a resource that this tenant does not have."""
    for reference in references:
        ref = local(reference)
        if ref and ref not in snapshot:
            raise forbidden("a participant does not belong to your organisation")


def check_people(
    ctx: Context, before: Iterable[Reference], after: Iterable[Reference], place: str
) -> None:
    """422 for a new one who is nobody that could read or answer: a team or a role is several
    people, and whoever is only described, or lives on another server, is not reached."""
    there = list(before)
    for n, one in enumerate(after):
        ref = local(one)
        person = ref and (ref.type in PEOPLE or f"{ref.type}/{ref.id}" == ctx.user)
        if not person and one not in there:
            kinds = ", ".join(PEOPLE)
            why = f"a participant is a {kinds} of this server; name the members of a team"
            raise Problem(422, "business-rule", why, expression=f"{place}[{n}]")


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
