"""Who may see and write what, said once more: brute force over every resource of a small world.

It reads `capability/access-policy.yaml` and the scopes of a token by itself and shares no code with
the server, so where the two differ one of them is wrong. It knows as many search parameters as the
policy uses; a policy that uses another one fails `test_oracle.py` until it is written down here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml

Resource = Mapping[str, Any]
Criterion = tuple[str, str]
POLICY = Path(__file__).parents[2] / "capability" / "access-policy.yaml"
STATE = "https://fhir.ghasi.af/StructureDefinition/attachment-state"

# Search parameter → the elements that hold it. `patient` is whichever of them names a Patient.
REFERENCES: Mapping[str, tuple[str, ...]] = {
    "Appointment.actor": ("participant.actor",),
    "Appointment.patient": ("participant.actor",),
    "AuditEvent.patient": ("agent.who", "entity.what"),
    "Basic.patient": ("subject",),
    "Basic.subject": ("subject",),
    "CareTeam.patient": ("subject",),
    "CareTeam.participant": ("participant.member",),
    "Communication.attachment": ("payload.contentReference",),
    "Communication.part-of": ("partOf",),
    "Communication.participant": ("sender", "recipient"),
    "Communication.patient": ("subject",),
    "CommunicationRequest.patient": ("subject",),
    "CommunicationRequest.recipient": ("recipient",),
    "CommunicationRequest.requester": ("requester",),
    "CommunicationRequest.sender": ("sender",),
    "Device.patient": ("patient",),
    "DocumentReference.author": ("author",),
    "DocumentReference.patient": ("subject",),
    "DocumentReference.related": ("context.related",),
    "DocumentReference.subject": ("subject",),
    "Encounter.participant": ("participant.individual",),
    "Encounter.patient": ("subject",),
    "Encounter.subject": ("subject",),
    "Group.member": ("member.entity",),
    "List.patient": ("subject",),
    "List.source": ("source",),
    "Provenance.patient": ("target",),
    "RelatedPerson.patient": ("patient",),
    "Task.owner": ("owner",),
    "Task.patient": ("for",),
    "Task.requester": ("requester",),
}
# Types that a `patient/` scope reads although they are about nobody.
DIRECTORY = {"Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService"}
# How the Patient compartment of a `patient/` scope is told, where it is not the parameter patient.
COMPARTMENT = {"Patient": "_id", "Group": "member"}
OUTSIDE = {"List", "Binary", "Bundle", "Subscription"}
V1_LETTERS = {"read": "rs", "write": "cud", "*": "cruds"}
SCOPE = re.compile(
    r"(patient|user|system)/(\*|[A-Z]\w+)\.(read|write|\*|(?=\w)c?r?u?d?s?)(?:\?(.+))?"
)


@dataclass(frozen=True)
class Caller:
    """Someone with a token of the tenant; `scope` is the token's."""

    name: str
    sub: str
    roles: tuple[str, ...] = ()
    patient: str | None = None
    scope: str = "user/*.cruds system/*.cruds"
    tenant: str = "own"
    modules: tuple[str, ...] = ("engage.messaging",)

    @property
    def user(self) -> str | None:
        kind = {"usr": "Practitioner", "pat": "Patient", "rel": "RelatedPerson"}
        prefix, separator, rest = self.sub.partition("_")
        return f"{kind[prefix]}/{rest}" if separator and prefix in kind else None

    @property
    def context(self) -> str | None:
        """The patient in context; for a patient, themself."""
        own = self.user if (self.user or "").startswith("Patient/") else None
        return self.patient or own

    @property
    def is_system(self) -> bool:
        return "SERVICE" in self.roles

    def variables(self) -> dict[str, str | None]:
        return {
            "$caller": self.user,
            "$patient": self.context,
            "$patient.id": self.context and self.context.partition("/")[2],
        }


@cache
def policy() -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(POLICY.read_text())["roles"]
    return found


@dataclass(frozen=True)
class Oracle:
    """Says what is right, of the resources of one tenant by `Type/id`."""

    world: Mapping[str, Resource] = field(default_factory=dict)

    def visible(self, caller: Caller, resource: Resource) -> bool:
        """By the roles alone."""
        return self._any(caller, resource, "read")

    def writable(self, caller: Caller, resource: Resource) -> bool:
        """What a role writes, it must be able to read."""
        return self.visible(caller, resource) and self._any(caller, resource, "write")

    def allowed(self, caller: Caller, resource: Resource, letter: str) -> bool:
        """By roles and scopes."""
        parts = parts_of(caller, resource["resourceType"], letter)
        return self.visible(caller, resource) and any(
            all(self.meets(resource, *pair) for pair in part) for part in parts
        )

    def seen(self, caller: Caller, letter: str = "") -> dict[str, Resource]:
        """Everything that he sees; by his roles alone unless a letter of a scope is asked for."""
        return {
            name: one
            for name, one in self.world.items()
            if (self.allowed(caller, one, letter) if letter else self.visible(caller, one))
        }

    def _any(self, caller: Caller, resource: Resource, right: str) -> bool:
        return any(
            self._holds(caller, resource, criteria)
            for criteria in criteria_of(caller.roles, resource["resourceType"], right)
        )

    def _holds(self, caller: Caller, resource: Resource, criteria: str) -> bool:
        for name, value in parse_qsl(criteria, keep_blank_values=True):
            variables = caller.variables()
            meant = variables.get(value, value)
            if meant is None or not self.meets(resource, name, meant):
                return False
        return True

    def meets(self, resource: Resource, name: str, value: str) -> bool:
        """One search criterion, of one resource."""
        if name == "_filter":
            return self._filtered(resource, value)
        if name.startswith("_has:"):
            _, kind, link, rest = name.split(":", 3)
            me = f"{resource['resourceType']}/{resource['id']}"
            return any(
                me in references(other, link) and self.meets(other, rest, value)
                for other in self.world.values()
                if other["resourceType"] == kind
            )
        head, dot, rest = name.partition(".")
        code, _, modifier = head.partition(":")
        if dot:
            targets = (self.world.get(text) for text in references(resource, code))
            return any(
                target is not None
                and modifier in ("", target["resourceType"])
                and self.meets(target, rest, value)
                for target in targets
            )
        return plain(resource, code, modifier, value)

    def _filtered(self, resource: Resource, text: str) -> bool:
        """Of filters, as much as the policy uses: `not (a eq x or b eq y)`."""
        found = re.fullmatch(r"not \((.+)\)", text)
        terms = found[1].split(" or ") if found else [""]
        return not any(
            self.meets(resource, name, value) for name, _, value in (t.split() for t in terms)
        )


def plain(resource: Resource, code: str, modifier: str, value: str) -> bool:
    """A criterion on the resource itself; KeyError for a parameter that nobody wrote down."""
    if modifier == "missing":
        return (value == "true") is (not held(resource, code))
    found = bool(set(value.split(",")) & held(resource, code))
    return found is not (modifier == "not")


def held(resource: Resource, code: str) -> set[str]:
    """The codes, ids or references that a parameter finds."""
    found = OWN.get(code)
    return set(found(resource) if found else references(resource, code))


# What a parameter finds that is no reference.
OWN: Mapping[str, Callable[[Resource], Iterable[str]]] = {
    "_id": lambda one: [one["id"]],
    "_profile": lambda one: one.get("meta", {}).get("profile", ()),
    "_security": lambda one: [label["code"] for label in one.get("meta", {}).get("security", ())],
    "attachment-state": lambda one: [
        e["valueCode"] for e in one.get("extension", ()) if e["url"] == STATE
    ],
    "code": lambda one: [
        text
        for c in one.get("code", {}).get("coding", ())
        for text in (c["code"], f"{c['system']}|", f"{c['system']}|{c['code']}")
    ],
    "status": lambda one: [one["status"]] if "status" in one else [],
}


def references(resource: Resource, code: str) -> list[str]:
    if code == "current-member":
        return list(current_members(resource))
    elements = REFERENCES[f"{resource['resourceType']}.{code}"]
    found = [one["reference"] for path in elements for one in walk(resource, path)]
    return [text for text in found if code != "patient" or text.startswith("Patient/")]


def current_members(team: Resource) -> Iterator[str]:
    """Those who take part now: neither the team nor the participation is over."""
    if team.get("status", "active") != "active" or "end" in team.get("period", {}):
        return
    for one in team.get("participant", ()):
        if "end" not in one.get("period", {}) and "member" in one:
            yield one["member"]["reference"]


def walk(node: Any, path: str) -> Iterator[Any]:
    """What lies at a path, lists walked through; a reference must have its text."""
    head, _, rest = path.partition(".")
    found = node.get(head)
    for one in found if isinstance(found, list) else [found] if found else ():
        if rest:
            yield from walk(one, rest)
        elif "reference" in one:
            yield one


def criteria_of(roles: Iterable[str], kind: str, right: str) -> Iterator[str]:
    """The criteria, any of which must be met. `write: true` asks for no more than reading does."""
    for role in roles:
        rule = policy().get(role, {}).get(kind, {})
        listed = rule.get(right, ())
        yield from ([""] if listed is True else listed)


def may_write(caller: Caller, kind: str) -> bool:
    return any(True for _ in criteria_of(caller.roles, kind, "write"))


def parts_of(caller: Caller, kind: str, letter: str) -> list[tuple[Criterion, ...]]:
    """What each of the scopes lets him reach of a type; none: it is refused.

    https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
    """
    found = (SCOPE.fullmatch(scope) for scope in caller.scope.split())
    parts = [_part(caller, kind, letter, *scope.groups()) for scope in found if scope]
    return [part for part in parts if part is not None]


def _part(
    caller: Caller, kind: str, letter: str, level: str, named: str, rights: str, query: str | None
) -> tuple[Criterion, ...] | None:
    holds = {
        "system": caller.is_system,
        "user": caller.user is not None or caller.is_system,
        "patient": caller.context is not None,
    }[level]
    if not holds or named not in (kind, "*") or letter not in V1_LETTERS.get(rights, rights):
        return None
    criteria = tuple(parse_qsl(query or ""))
    if level != "patient":
        return criteria
    if kind in DIRECTORY:
        return criteria if letter in "rs" else None
    if kind in OUTSIDE:
        return None
    own = str(caller.context)
    binding = COMPARTMENT.get(kind, "patient")
    return ((binding, own.partition("/")[2] if binding == "_id" else own), *criteria)
