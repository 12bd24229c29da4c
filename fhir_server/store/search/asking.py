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
from fhir_server.store.search.terms import NOTHING_KNOWN, Answer

LAST_UPDATED = SearchParameter("_lastUpdated", "date", "Resource.meta.lastUpdated", single=True)
MOST_HOPS = 4
# Types that all chains of a request together lead to, hops of its chains and reverse chains, and
# parameters, the terms of a filter counted one by one.
MOST_BRANCHES = 72
MOST_LINKS = 12
MOST_TERMS = 64
# A policy node for a resource type: what of it the caller may see.
Policy = Callable[[str], Node]


class NotSupported(Problem):
    """A parameter or modifier that this type does not have; lenient handling leaves it out."""

    def __init__(self, diagnostics: str) -> None:
        super().__init__(400, "not-supported", diagnostics)


@dataclass(slots=True)
class Budget:
    """What a request may still ask for: a statement grows with each type that a chain may lead to
    (`branches`), each hop (`links`) and each condition (`terms`)."""

    branches: float = inf
    links: float = inf
    terms: float = inf

    def branch(self, number: int) -> None:
        """Problem 400 where that is more than are left."""
        self.branches -= number
        if self.branches < 0:
            raise Problem(400, "too-costly", "the chains lead to too many types: name them")

    def link(self, number: int) -> None:
        """The same for hops."""
        self.links -= number
        if self.links < 0:
            raise Problem(400, "too-costly", f"more than {MOST_LINKS} chained resources")

    def test(self, number: int) -> None:
        """The same for conditions."""
        self.terms -= number
        if self.terms < 0:
            raise Problem(400, "too-costly", f"more than {MOST_TERMS} conditions")


@dataclass(frozen=True, slots=True)
class Asking:
    """`policy` binds every resource type that a criterion reaches. `variables` are replaced in
    criteria that the server itself declares; they are None for what a caller wrote. `rowwise`
    prefers predicates that check one row at a time to those that collect a set first. `budget`
    is without end for what the server itself declares. `answer` tells of codes."""

    tenant: str
    types: Mapping[str, ServedType]
    now: datetime
    policy: Policy
    base: str | None = None
    variables: Mapping[str, str | None] | None = None
    rowwise: bool = False
    budget: Budget = field(default_factory=Budget)
    answer: Answer = NOTHING_KNOWN

    def parameter(self, resource_type: str, code: str) -> SearchParameter:
        """The declared parameter; NotSupported when the type has none of that name."""
        if code == LAST_UPDATED.code:
            return LAST_UPDATED
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


def checked_hops(hops: int) -> None:
    """Refuses a chain that is too long."""
    if hops > MOST_HOPS:
        raise Problem(400, "too-costly", f"a chain of more than {MOST_HOPS} hops")


def bad_value(code: str, why: str) -> NoReturn:
    """Refuses a value without repeating it."""
    raise Problem(400, "value", f"{code}: {why}", expression=code)
