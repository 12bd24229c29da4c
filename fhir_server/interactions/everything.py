"""$everything: all that the store has about a patient or an encounter.

https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.interactions.read import Reader
from fhir_server.store.everything import Compartment, Everything, Wanted
from fhir_server.store.search.page import Reach
from fhir_server.store.session import Sessions


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Reads the compartment of a resource that the caller may read."""

    sessions: Sessions
    reader: Reader
    compartment: Compartment

    async def everything(
        self,
        ctx: Context,
        wanted: Wanted,
        *,
        reach: Reach,
        limit: int,
        cursor: str,
        criteria: Sequence[tuple[str, str]],
    ) -> Everything:
        """A page; 404, 403 or 410 as reading the owner is, `criteria` are those of that read."""
        kind, _, id = wanted.owner.partition("/")
        owner = await self.reader.read(ctx, kind, id, criteria)
        async with self.sessions.session(ctx) as session:
            return await self.compartment.page(
                session, ctx, wanted, owner, reach=reach, limit=limit, cursor=cursor
            )
