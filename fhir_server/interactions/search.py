"""search: https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.store.search.across import Across
from fhir_server.store.search.page import Derived, Page, Reach
from fhir_server.store.search.planner import Handling, Planner
from fhir_server.store.session import Sessions


@dataclass(frozen=True, slots=True)
class Searcher:
    """Plans a search for the caller and runs it in one statement."""

    sessions: Sessions
    planner: Planner
    across: Across

    async def search(
        self,
        ctx: Context,
        type: str,
        params: Sequence[tuple[str, str]],
        *,
        handling: Handling,
        derived: Sequence[Derived],
        required: Sequence[tuple[str, str]],
        reach: Reach | None,
        compartment: str | None = None,
    ) -> Page:
        """Problem 400 for a parameter that is unknown (when strict) or malformed."""
        query = await self.planner.telling(
            lambda told: self.planner.plan(
                ctx,
                type,
                params,
                handling=handling,
                derived=derived,
                required=required,
                reach=reach,
                compartment=compartment,
                told=told,
            )
        )
        async with self.sessions.session(ctx) as session:
            return await self.planner.run(session, query)

    async def search_across(
        self,
        ctx: Context,
        types: Sequence[str],
        params: Sequence[tuple[str, str]],
        *,
        handling: Handling,
        reach: Reach,
    ) -> Page:
        """The same for several types; Problem 400 for a parameter that one of them lacks."""
        search = await self.planner.telling(
            lambda told: self.across.plan(
                ctx, types, params, handling=handling, reach=reach, told=told
            )
        )
        async with self.sessions.session(ctx) as session:
            return await self.across.run(session, search)
