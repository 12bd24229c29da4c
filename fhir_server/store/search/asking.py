"""What the parsing of one search needs to know about who asks what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import NoReturn

from fhir_server.definitions.model import SearchParameter, ServedType
from fhir_server.problems import Problem
from fhir_server.store.search.node import Node

# A policy node for a resource type: what of it the caller may see.
Policy = Callable[[str], Node]


class NotSupported(Problem):
    """A parameter or modifier that this type does not have; lenient handling leaves it out."""

    def __init__(self, diagnostics: str) -> None:
        super().__init__(400, "not-supported", diagnostics)


@dataclass(slots=True)
class Branches:
    """How many more types the chains of a request may lead to: a statement grows with each."""

    left: float = inf

    def take(self, number: int) -> None:
        """Problem 400 where that is more than are left."""
        self.left -= number
        if self.left < 0:
            raise Problem(400, "too-costly", "the chains lead to too many types: name them")


@dataclass(frozen=True, slots=True)
class Asking:
    """`policy` binds every resource type that a criterion reaches. `variables` are replaced in
    criteria that the server itself declares; they are None for what a caller wrote. `rowwise`
    prefers predicates that check one row at a time to those that collect a set first. `branches`
    is without end for what the server itself declares."""

    tenant: str
    types: Mapping[str, ServedType]
    now: datetime
    policy: Policy
    base: str | None = None
    variables: Mapping[str, str | None] | None = None
    rowwise: bool = False
    branches: Branches = field(default_factory=Branches)

    def parameter(self, resource_type: str, code: str) -> SearchParameter:
        """The declared parameter; NotSupported when the type has none of that name."""
        found = self.types[resource_type].search.get(code)
        if found is None:
            raise NotSupported(f"{resource_type} has no search parameter {code[:64]}")
        return found

    def served(self, resource_type: str) -> ServedType:
        """The declared type; NotSupported when it is not served."""
        found = self.types.get(resource_type)
        if found is None:
            raise NotSupported(f"the type {resource_type[:64]} is not served")
        return found


def bad_value(code: str, why: str) -> NoReturn:
    """Refuses a value without repeating it."""
    raise Problem(400, "value", f"{code}: {why}", expression=code)
