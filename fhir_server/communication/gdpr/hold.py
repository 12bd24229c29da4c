"""Legal hold: the security label that keeps a resource from being erased.

It is an administrator's or a trusted backend's to set and to take away, on whatever it lies. Who
writes a labelled resource without it, as a client does that knows nothing of labels, has written it
with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fhir_server.communication.configuration import ADMIN
from fhir_server.communication.gdpr.policy import Policy
from fhir_server.context import Context
from fhir_server.interactions.model import EVERY, Draft, Event, Read, Snapshot
from fhir_server.problems import forbidden


@dataclass(frozen=True, slots=True)
class HoldRule:
    """Every resource: who may not hold it leaves the labels as they are."""

    policy: Policy = field(default_factory=Policy)
    profile: str = EVERY
    announces: tuple[str, ...] = ()

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """Nothing else."""
        return ()

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """403 for who sets such a label; one that is there stays."""
        before = self.policy.holding(draft.base.resource) if draft.base else []
        if draft.kind == "delete" or ctx.is_system or ADMIN in ctx.roles:
            return
        after = self.policy.holding(draft.resource)
        if any(label not in before for label in after):
            raise forbidden("a legal hold is an administrator's or a trusted backend's to set")
        lost = [label for label in before if label not in after]
        if lost:
            meta = draft.resource.get("meta", {})
            draft.resource["meta"] = {**meta, "security": [*meta.get("security", ()), *lost]}

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """None: the request that it holds tells."""
        return ()
