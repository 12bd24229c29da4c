"""What a tenant configures: one resource of each kind, under the kind's id, by administrators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.communication.parties import local
from fhir_server.context import Context
from fhir_server.definitions.loader import CANONICAL
from fhir_server.interactions.model import Draft, Event, Read, Ref, Resource, Snapshot
from fhir_server.problems import Problem, forbidden

ADMIN = "ADMIN"
CHANNELS = "notification-channels"
ESCALATION = "escalation"
VIRTUAL_CARE = "virtual-care"
KINDS = (CHANNELS, ESCALATION, VIRTUAL_CARE)
ON_CALL = (
    f"Basic.extension('{CANONICAL}/StructureDefinition/escalation-policy')"
    ".extension('onCall').value.ofType(Reference).reference"
)
ALL_CHANNELS = ("in-app", "push", "sms", "email")


class ConfigurationRule:
    """A profile of Basic; `kind` is its code in the CodeSystem configuration."""

    announces: tuple[str, ...] = ()

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.profile = f"config-{kind}"

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """Who is to be on call."""
        return map(Read, called(draft.resource))

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """403 for others than administrators; 422 where it is not in its place, or puts somebody
        on call who is not there or not active."""
        if ADMIN not in ctx.roles and not ctx.is_system:
            raise forbidden("only an administrator configures")
        if draft.id != self.kind:
            why = f"this configuration has its place: PUT Basic/{self.kind}"
            raise Problem(422, "business-rule", why, expression="Basic.code")
        if any(not available(ref, snapshot) for ref in called(draft.resource)):
            why = "who is on call must be an active PractitionerRole of the tenant"
            raise Problem(422, "business-rule", why, expression=ON_CALL)

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """Nobody is told: whoever needs it reads it each time."""
        return ()


def place(kind: str) -> Ref:
    """Where the configuration of that kind lies."""
    return Ref("Basic", kind)


def allowed_channels(category: str, snapshot: Snapshot) -> tuple[str, ...]:
    """The channels that the tenant allows for that category; all where it says nothing."""
    for policy in _extensions(_stored(CHANNELS, snapshot), "channel-policy"):
        if category in _values(policy, "category"):
            listed = set(_values(policy, "channel"))
            return tuple(channel for channel in ALL_CHANNELS if channel in listed)
    return ALL_CHANNELS


def escalating_roles(snapshot: Snapshot) -> frozenset[str]:
    """The roles that may escalate; none where the tenant does not say."""
    policies = _extensions(_stored(ESCALATION, snapshot), "escalation-policy")
    return frozenset(role for policy in policies for role in _values(policy, "role"))


def on_call(snapshot: Snapshot) -> tuple[Ref, ...]:
    """Those on call, where the tenant says who they are."""
    return called(_stored(ESCALATION, snapshot))


def called(policy: Resource) -> tuple[Ref, ...]:
    """Those on call by that policy; none by a configuration of another kind."""
    found = _extensions(policy, "escalation-policy")
    named = (value for each in found for value in _values(each, "onCall"))
    return tuple(filter(None, map(local, named)))


def available(ref: Ref, snapshot: Snapshot) -> bool:
    """Whether somebody is there to be called: a role is active as long as nobody says otherwise."""
    role = snapshot.get(ref)
    return role is not None and role.resource.get("active", True) is True


def _stored(kind: str, snapshot: Snapshot) -> Resource:
    seen = snapshot.get(place(kind))
    return seen.resource if seen else {}


def _extensions(resource: Resource, name: str) -> Iterator[Resource]:
    url = f"{CANONICAL}/StructureDefinition/{name}"
    return (one for one in resource.get("extension", ()) if one.get("url") == url)


def _values(extension: Resource, name: str) -> Iterator[Any]:
    parts = (part for part in extension.get("extension", ()) if part.get("url") == name)
    return (value for part in parts for key, value in part.items() if key.startswith("value"))
