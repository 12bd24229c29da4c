"""What a write intends: which rows it must see, and a pure decision on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from fhir_server.interactions.model import Draft, Read, Ref, Result, Snapshot

Criteria = Sequence[tuple[str, str]]
Place = AbstractContextManager[object]
HERE: Place = nullcontext()


class Plan(Protocol):
    """One intended write, to resources of one type."""

    @property
    def type(self) -> str:
        """The resource type."""

    def reads(self) -> Iterable[Read]:
        """The rows the decision rests on."""

    def previews(self) -> Iterable[Draft]:
        """The drafts, where their content does not depend on what is loaded."""

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """The drafts to write; with none, the result stands as it is."""


# The plan, and what the caller's scopes limit it to.
Choice = tuple[Plan, Criteria]


@dataclass(frozen=True, slots=True)
class Step:
    """A plan ready to be decided: `reads` are its rows and those that the rules of its previews
    want; `proven` says that the policy must show the caller what he writes; the structure of its
    drafts is checked where it has `previews`; a refusal is raised within `place`, which may name
    it."""

    plan: Plan
    criteria: tuple[tuple[str, str], ...]
    reads: Mapping[Ref, Read]
    proven: bool
    previews: tuple[Draft, ...]
    place: Place = HERE


def merged(reads: Iterable[Read]) -> dict[Ref, Read]:
    """By reference; what one asks for it is asked for all."""
    found: dict[Ref, Read] = {}
    for read in reads:
        other = found.get(read.ref, read)
        found[read.ref] = (
            read
            if other is read
            else Read(
                read.ref,
                read.guard or other.guard,
                read.claim or other.claim,
                read.names or other.names,
            )
        )
    return found
