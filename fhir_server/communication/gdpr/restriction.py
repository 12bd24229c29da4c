"""Restriction of processing: a patient's data is kept, and not used otherwise.

A security label says so, on the patient and on every thread about her, so that whoever writes into
a thread meets it where he looks anyway. Its code is R, which closes the chart by the access policy
to all but her care teams. The server sets and takes it away in a job's context; a trusted backend
that brings a new resource may bring it labelled. Nobody removes it by writing the resource without.
https://gdpr-info.eu/art-18-gdpr/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.communication.parties import local, reads
from fhir_server.context import Context
from fhir_server.definitions.loader import CANONICAL
from fhir_server.interactions.model import EVERY, Draft, Event, Read, Resource, Snapshot
from fhir_server.problems import conflict, forbidden

SYSTEM: Final = f"{CANONICAL}/CodeSystem/processing"
CODE: Final = "R"
LABEL: Final[Mapping[str, str]] = {"system": SYSTEM, "code": CODE}


@dataclass(frozen=True, slots=True)
class PatientRule:
    """Every Patient: the label stays as it is, and who bears it is not deleted."""

    profile: str = "Patient"
    announces: tuple[str, ...] = ()

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """Nothing else."""
        return ()

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """403 for who sets the label, 409 for who deletes a patient that has it."""
        if draft.kind == "delete":
            check_used(draft.base.resource if draft.base else {})
        else:
            keep_label(ctx, draft)

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """None: the request tells."""
        return ()


# What people write about a patient that has no rule of its own: visits and documents.
_ABOUT: Final = frozenset({"Encounter", "DocumentReference"})


@dataclass(frozen=True, slots=True)
class UnusedRule:
    """Nobody but a trusted backend opens a visit of a restricted patient, or files a document."""

    profile: str = EVERY
    announces: tuple[str, ...] = ()

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """The patient."""
        if self._applies(ctx, draft):
            yield from reads([draft.resource.get("subject")])

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """409 where she bears the label."""
        if self._applies(ctx, draft):
            check_used_of(draft.resource.get("subject"), snapshot)

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """None."""
        return ()

    def _applies(self, ctx: Context, draft: Draft) -> bool:
        if draft.type not in _ABOUT or ctx.is_system:
            return False
        before = draft.base.resource if draft.base else {}
        return before.get("subject") != draft.resource.get("subject")


def is_restricted(resource: Mapping[str, Any]) -> bool:
    """Whether it bears the label."""
    labels = resource.get("meta", {}).get("security")
    # Asked of every thread that a message goes into: most have none.
    return bool(labels) and any(map(_is_label, labels))


def check_used(resource: Mapping[str, Any]) -> None:
    """409 where it bears the label."""
    if is_restricted(resource):
        why = "the processing of this patient's data is restricted"
        raise conflict(why, v1_code="INVALID_STATE_TRANSITION")


def check_used_of(about: Mapping[str, Any] | None, snapshot: Snapshot) -> None:
    """409 where the patient that a reference names bears it."""
    ref = local(about)
    if ref and ref in snapshot:
        check_used(snapshot[ref].resource)


def keep_label(ctx: Context, draft: Draft) -> None:
    """A version has the label if the one before has it; 403 for who sets it."""
    if ctx.face == "job" or (draft.base is None and ctx.is_system):
        return
    if draft.base and is_restricted(draft.base.resource):
        draft.resource["meta"] = labelled(draft.resource)["meta"]
    elif is_restricted(draft.resource):
        raise forbidden("a restriction of processing is asked for by a request under the GDPR")


def labelled(resource: Resource) -> Resource:
    """A copy with the label."""
    if is_restricted(resource):
        return resource
    meta = resource.get("meta", {})
    return {**resource, "meta": {**meta, "security": [*meta.get("security", ()), dict(LABEL)]}}


def unlabelled(resource: Resource) -> Resource:
    """A copy without it."""
    meta = resource.get("meta", {})
    others = [label for label in meta.get("security", ()) if not _is_label(label)]
    kept = {name: value for name, value in meta.items() if name != "security"}
    return {**resource, "meta": {**kept, **({"security": others} if others else {})}}


def _is_label(coding: Mapping[str, Any]) -> bool:
    return coding.get("system") == SYSTEM and coding.get("code") == CODE
