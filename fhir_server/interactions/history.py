"""history of a type and of the whole system: https://hl7.org/fhir/R4/http.html#history

That of one resource is read as the resource is, by read.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.store.search.page import Reach
from fhir_server.store.search.paging import Around
from fhir_server.store.session import Sessions
from fhir_server.store.span import Span
from fhir_server.store.stored import Stored
from fhir_server.store.timeline import Timeline


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """Versions newest first, and the pages around them."""

    versions: Sequence[Stored]
    around: Around


@dataclass(frozen=True, slots=True)
class Historian:
    """Reads what happened to resources of any of `types` that the caller may see."""

    sessions: Sessions
    timeline: Timeline

    async def versions(
        self,
        ctx: Context,
        types: Sequence[str],
        *,
        span: Span,
        reach: Reach,
        limit: int,
        cursor: str,
    ) -> TimelinePage:
        """A page; Problem 400 for a cursor that is none of this history."""
        async with self.sessions.session(ctx) as session:
            page = await self.timeline.page(
                session, ctx, types, span=span, reach=reach, limit=limit, cursor=cursor
            )
        return TimelinePage(*page)
