"""Conditional create, update, patch and delete: what is written depends on what a search finds.

Two clients that ask the same at the same moment must not both find nothing. So the search and the
write share one transaction. It first takes a lock on what the criteria mean, so that whoever asks
the same waits for its end; then it searches; then it locks what it found, which must still be the
version that was found, or all of it begins again.
https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.interactions.intents import Condition
from fhir_server.interactions.plan import Criteria
from fhir_server.problems import forbidden, invalid
from fhir_server.store.access import Access
from fhir_server.store.search import result
from fhir_server.store.search.page import Page
from fhir_server.store.search.planner import Planner
from fhir_server.store.session import Session


@dataclass(frozen=True, slots=True)
class Search:
    """A condition made ready to be asked; equal ones of one caller have the same `meaning`."""

    type: str
    meaning: str
    run: Callable[[Session], Awaitable[Page]]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Plans the searches of conditions."""

    planner: Planner
    access: Access

    async def search(self, ctx: Context, condition: Condition) -> Search:
        """Problem 400 for criteria that are none, 403 for a type that the caller may not write."""
        type, where = condition.type, condition.where
        check_criteria(where)
        if not self.access.may_write(ctx, type):
            raise forbidden(f"your role may not write {type}")
        params = [*where, ("_count", str(condition.count))]
        query, meaning = await self.planner.telling(
            lambda told: (
                self.planner.plan(ctx, type, params, reach=condition.reach, told=told),
                self.planner.meaning(ctx, type, where, told),
            )
        )
        return Search(type, meaning, lambda session: self.planner.run(session, query))


def check_criteria(where: Criteria) -> None:
    """400 where nothing would decide: every resource of the type would match."""
    criteria = result.read(where).criteria
    if not where:
        raise invalid("a condition needs search criteria")
    if len(criteria) != len(where):
        other = next(name for name, _ in where if name not in dict(criteria))
        raise invalid(f"{other[:64]} is no criterion")
