"""From a draft to what is stored: structure, rights, rules, profiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.fhir.subset import is_subset
from fhir_server.interactions.model import Draft, Event, Read, Ref, Resource, Rule, Snapshot
from fhir_server.interactions.registry import Registry
from fhir_server.problems import Issue, Problem, forbidden
from fhir_server.store.access import Access
from fhir_server.validation import Validator
from fhir_server.validation.options import Options

# Before the rules complete a draft, it need not be what its profiles ask for.
STRUCTURE = Options(claims=False)
PART = "a part of a resource (SUBSETTED) is not stored: what it lacks would be lost"


@dataclass(frozen=True, slots=True)
class Drafting:
    """Checks drafts, and lets the rules of their profiles complete or refuse them."""

    registry: Registry
    validator: Validator
    access: Access

    def check(self, resource: Resource) -> None:
        """Refuses with 422 what R4 does not allow."""
        _refuse(self.validator.validate(resource, ()))

    def check_structure(self, draft: Draft) -> None:
        """The same of a draft, apart from what its profiles say."""
        if draft.kind == "delete":
            return
        if is_subset(draft.resource):
            raise Problem(422, "business-rule", PART, expression=f"{draft.type}.meta.tag")
        _refuse(self.validator.validate(draft.resource, (), STRUCTURE))

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """What its rules want to see."""
        if draft.erases:
            return
        for rule in self._rules(draft):
            yield from rule.reads(ctx, draft)

    def finish(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> list[Event]:
        """Completes it, or refuses it; what happens when it is committed."""
        self._check_rights(ctx, draft)
        if draft.kind == "erase":
            return []
        self.complete(ctx, draft, snapshot)
        if draft.kind != "delete":
            self._check_profiles(draft)
        return [event for rule in self._rules(draft) for event in rule.events(ctx, draft, snapshot)]

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """Lets the rules complete or refuse it."""
        if draft.erases:
            return
        for rule in self._rules(draft):
            rule.complete(ctx, draft, snapshot)

    def caused(
        self, ctx: Context, events: Iterable[Event], snapshot: Snapshot
    ) -> tuple[list[Draft], list[Event]]:
        """The drafts that the events cause, finished, and what happens with them."""
        reactions = ((event, self.registry.reaction(event)) for event in events)
        drafts = [d for event, react in reactions if react for d in react(ctx, event, snapshot)]
        return drafts, [event for draft in drafts for event in self.finish(ctx, draft, snapshot)]

    def _rules(self, draft: Draft) -> list[Rule]:
        return self.registry.rules(draft.type, self._profiles(draft))

    def _profiles(self, draft: Draft) -> list[str]:
        if draft.profiles is None:
            found = self.registry.profiles(draft.type, draft.resource)
            # What it was still counts: a thread is not freed of its rules by a change, nor made
            # something that the next change would find free of them.
            before = self.registry.bound(draft.type, draft.base.resource) if draft.base else ()
            draft.profiles = list(dict.fromkeys([*found, *before]))
        return draft.profiles

    def _check_profiles(self, draft: Draft) -> None:
        profiles = self._profiles(draft)
        if profiles:
            draft.resource["meta"] = {**draft.resource.get("meta", {}), "profile": profiles}
            _refuse(self.validator.validate(draft.resource, profiles))

    def _in_place(self, draft: Draft) -> bool:
        return self.registry.in_place(Ref(draft.type, draft.id), self._profiles(draft))

    def _check_rights(self, ctx: Context, draft: Draft) -> None:
        if draft.caused:
            return
        if not self.access.may_write(ctx, draft.type):
            raise forbidden(f"your role may not write {draft.type}")
        if draft.chosen_id and not (ctx.is_system or self._in_place(draft)):
            raise Problem(405, "not-supported", "only a system client may choose an id")
        if draft.base and not draft.base.allowed:
            raise forbidden(f"this {draft.type} is not open to you")


def _refuse(issues: Sequence[Issue]) -> None:
    errors = [issue for issue in issues if issue.severity in ("fatal", "error")]
    if errors:
        raise Problem(422, errors[0].code, errors[0].diagnostics, issues=errors)
