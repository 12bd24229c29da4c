"""Which rule stands for which profile, which code for which operation, what answers an event, and
which resources have their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from fhir_server.definitions.model import Definitions, Profile
from fhir_server.fhir.path import Path, compile
from fhir_server.interactions.model import (
    EVERY,
    Event,
    Operation,
    Reaction,
    Ref,
    Resource,
    Rule,
)
from fhir_server.interactions.plan import Criteria
from fhir_server.problems import Problem

# The search that finds the resource of which there may be one only.
Unique = Callable[[Resource], Criteria]
BASE = "http://hl7.org/fhir/StructureDefinition/"


class Registry:
    """Rules by profile, operations by type and code; base definitions count as profiles.

    `places` are the profiles of which a tenant has one resource only, with its id; `unique`
    those of which there may be one that a search finds, with what makes the search.
    """

    def __init__(
        self,
        definitions: Definitions,
        rules: Iterable[Rule],
        operations: Iterable[Operation],
        reactions: Mapping[str, Reaction] = MappingProxyType({}),
        places: Mapping[str, str] = MappingProxyType({}),
        unique: Mapping[str, Unique] = MappingProxyType({}),
    ) -> None:
        self._profiles = definitions.profiles
        listed = list(rules)
        self._everywhere = [rule for rule in listed if rule.profile == EVERY]
        bound = (rule for rule in listed if rule.profile != EVERY)
        self._rules = {self._url(definitions, rule.profile): rule for rule in bound}
        self._reactions = reactions
        self._operations = {(o.type, o.code): o for o in operations}
        kept = ((definitions.profile(name), id) for name, id in places.items())
        self._places = {profile.url: Ref(profile.type, id) for profile, id in kept}
        self.reserved = frozenset(self._places.values())
        self._unique: dict[str, list[tuple[str, Unique]]] = {}
        for name, search in unique.items():
            profile = definitions.profile(name)
            self._unique.setdefault(profile.type, []).append((profile.url, search))
        self._implied = _implied(definitions.profiles.values())

    @staticmethod
    def _url(definitions: Definitions, name: str) -> str:
        return BASE + name if name in definitions.types else definitions.profile(name).url

    def profiles(self, resource_type: str, resource: Mapping[str, Any]) -> list[str]:
        """The declared profiles that the resource claims or that its content implies."""
        claimed = resource.get("meta", {}).get("profile", ())
        implied = (
            url
            for url, applies in self._implied.get(resource_type, ())
            if url not in claimed and applies.test(resource, resource)
        )
        return [*claimed, *implied]

    def bound(self, resource_type: str, resource: Mapping[str, Any]) -> list[str]:
        """Those of its profiles that have a rule."""
        return [url for url in self.profiles(resource_type, resource) if url in self._rules]

    def rules(self, resource_type: str, profiles: Iterable[str]) -> list[Rule]:
        """Those for every resource; then those of the profiles, or the base definition's where none
        of them has one."""
        found = [self._rules[url] for url in profiles if url in self._rules]
        base = self._rules.get(BASE + resource_type)
        return [*self._everywhere, *(found or ([base] if base else []))]

    def in_place(self, ref: Ref, profiles: Iterable[str]) -> bool:
        """Whether a resource of those profiles belongs there."""
        return any(self._places.get(url) == ref for url in profiles)

    def alone(self, resource_type: str, resource: Resource) -> Criteria:
        """The search that finds the one there may be of its kind; none where there may be many."""
        if resource_type not in self._unique:
            return ()
        profiles = self.profiles(resource_type, resource)
        found = (search(resource) for url, search in self._unique[resource_type] if url in profiles)
        return next(found, ())

    def ruled(self, resource_type: str) -> bool:
        """Whether some rule decides about every resource of the type."""
        return BASE + resource_type in self._rules

    def reaction(self, event: Event) -> Reaction | None:
        """What answers to it."""
        return self._reactions.get(event.type)

    def operation(self, resource_type: str, code: str) -> Operation:
        """404 where there is none."""
        found = self._operations.get((resource_type, code))
        if found is None:
            raise Problem(404, "not-supported", f"{resource_type} has no operation ${code}")
        return found


def _implied(profiles: Iterable[Profile]) -> dict[str, list[tuple[str, Path]]]:
    implied: dict[str, list[tuple[str, Path]]] = {}
    for profile in profiles:
        if profile.applies_when:
            test = compile(profile.applies_when)
            implied.setdefault(profile.type, []).append((profile.url, test))
    return implied
