"""The plans of conditional interactions: what is done with what their search found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.interactions.model import Draft, Read, Ref, Result, Seen, Snapshot
from fhir_server.interactions.plan import Plan
from fhir_server.interactions.update import Known, Update, check_shown, check_version
from fhir_server.problems import conflict
from fhir_server.store.commit import OvertakenError
from fhir_server.store.stored import Stored


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing is to be done: `result` is how things are."""

    type: str
    result: Result

    def reads(self) -> Iterable[Read]:
        """None."""
        return ()

    def previews(self) -> Iterable[Draft]:
        """None."""
        return ()

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """The result, without a draft."""
        return (), self.result


@dataclass(frozen=True, slots=True)
class Held:
    """`plan`, as long as what was found is still what it was when it was found."""

    plan: Plan
    found: Sequence[Stored]

    @property
    def type(self) -> str:
        """The resource type."""
        return self.plan.type

    def reads(self) -> Iterable[Read]:
        """Those of the plan."""
        return self.plan.reads()

    def previews(self) -> Iterable[Draft]:
        """Those of the plan."""
        return self.plan.previews()

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """As the plan decides; OvertakenError where the search must be asked again."""
        if any(_version(snapshot, stored) != stored.version for stored in self.found):
            raise OvertakenError
        return self.plan.decide(snapshot)


@dataclass(frozen=True, slots=True)
class Several:
    """Deletes all that was found."""

    type: str
    found: Sequence[Stored]
    if_match: Known | None
    more: bool

    def reads(self) -> Iterable[Read]:
        """The current versions."""
        return [Read(Ref(self.type, stored.id)) for stored in self.found]

    def previews(self) -> Iterable[Draft]:
        """Unknown before the current versions are."""
        return ()

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """A tombstone for each."""
        drafts = [self._tombstone(snapshot[Ref(self.type, stored.id)]) for stored in self.found]
        return drafts, Result(deleted=len(drafts), more=self.more)

    def _tombstone(self, current: Seen) -> Draft:
        check_shown(current, Ref(self.type, current.stored.id))
        check_version(current, self.if_match)
        return Draft("delete", self.type, current.stored.id, dict(current.resource), current)


@dataclass(frozen=True, slots=True)
class Anew:
    """An update that creates: what already has the id does not match, and stays."""

    update: Update

    @property
    def type(self) -> str:
        """The resource type."""
        return self.update.type

    def reads(self) -> Iterable[Read]:
        """The id, which must stay free."""
        return self.update.reads()

    def previews(self) -> Iterable[Draft]:
        """The resource."""
        return self.update.previews()

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """The first version; 409 where the id is taken."""
        if self.update.ref in snapshot:
            raise conflict("another resource, which does not match, has the id of the body")
        return self.update.decide(snapshot)


def _version(snapshot: Snapshot, stored: Stored) -> int | None:
    seen = snapshot.get(Ref(stored.type, stored.id))
    return seen.stored.version if seen else None
