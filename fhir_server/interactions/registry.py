"""Which rule stands for which profile, and which code for which operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.definitions.model import Definitions, Profile
from fhir_server.fhir.path import Path, compile
from fhir_server.interactions.model import Operation, Rule
from fhir_server.problems import Problem

BASE = "http://hl7.org/fhir/StructureDefinition/"


class Registry:
    """Rules by profile, operations by type and code; base definitions count as profiles."""

    def __init__(
        self, definitions: Definitions, rules: Iterable[Rule], operations: Iterable[Operation]
    ) -> None:
        self._profiles = definitions.profiles
        self._rules = {self._url(definitions, rule.profile): rule for rule in rules}
        self._operations = {(o.type, o.code): o for o in operations}
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
        """The rules of those profiles, or the base definition's where none of them has one."""
        found = [self._rules[url] for url in profiles if url in self._rules]
        base = self._rules.get(BASE + resource_type)
        return found or ([base] if base else [])

    def ruled(self, resource_type: str) -> bool:
        """Whether some rule decides about every resource of the type."""
        return BASE + resource_type in self._rules

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
