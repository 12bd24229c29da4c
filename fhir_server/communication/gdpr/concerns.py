"""Whether an earlier version concerns a person: the policy's searches, asked of a body.

What lies in the history has no search columns. Of the searches that the policy may name, a body
answers those by reference (`sender=$subject`), those by its own id, and chains, which lead to the
threads that are known to be the person's (`part-of:Communication.participant=$subject`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fhir_server.communication.gdpr.policy import Policy
from fhir_server.definitions.model import Definitions
from fhir_server.fhir.path import PathError, compile
from fhir_server.fhir.reference import parse
from fhir_server.interactions.model import Ref, Resource


@dataclass(frozen=True, slots=True)
class Concerns:
    """Asks for one subject; `threads` are those that are known to be his (`Communication/x`)."""

    policy: Policy
    definitions: Definitions
    subject: Ref
    threads: Collection[str]

    def criteria(self, type_: str) -> Iterator[list[tuple[str, str]]]:
        """The searches for resources of a type that concern him."""
        yield from self._filled(self.policy.erase.types[type_].concerning(self.subject.type))

    def naming(self, type_: str) -> Iterator[list[tuple[str, str]]]:
        """Those for resources that only name him."""
        yield from self._filled(self.policy.erase.types[type_].naming(self.subject.type))

    def spared(self, resource: Resource) -> bool:
        """Whether the policy leaves it as it is."""
        spare = self.policy.erase.types[resource["resourceType"]].spare
        return spare is not None and compile(spare).test(resource)

    def concerned(self, resource: Resource) -> bool:
        """Whether one of the searches would find the body."""
        type_ = resource["resourceType"]
        if type_ not in self.policy.erase.types or self.spared(resource):
            return False
        return any(
            all(self._met(resource, name, value) for name, value in pairs)
            for pairs in self.criteria(type_)
        )

    def _filled(self, searches: Collection[str]) -> Iterator[list[tuple[str, str]]]:
        reference = f"{self.subject.type}/{self.subject.id}"
        for criteria in searches:
            yield [
                (name, value.replace("$subject", reference).replace("$id", self.subject.id))
                for name, value in parse_qsl(criteria, keep_blank_values=True)
            ]

    def _met(self, resource: Resource, name: str, value: str) -> bool:
        code, _, chained = name.partition(":")
        if code == "_id":
            return bool(resource.get("id") == value)
        found = set(self._references(resource, code))
        return not found.isdisjoint(self.threads) if chained else value in found

    def _references(self, resource: Resource, code: str) -> Iterator[str]:
        parameter = self.definitions.types[resource["resourceType"]].search[code]
        try:
            values = compile(parameter.expression).values(resource)
        except PathError:
            return
        for value in values:
            text = value.get("reference") if isinstance(value, dict) else value
            local = parse(text).local if isinstance(text, str) else None
            if local:
                yield local
