"""The audit trail: every access to and change of patient data leaves an AuditEvent.

Interactions go through here, so both faces and the workers are recorded alike, and each entry of
a Bundle as the interaction that it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeVar

from fhir_server.context import Context
from fhir_server.interactions.audit.event import Events
from fhir_server.interactions.audit.query import Queries
from fhir_server.interactions.audit.record import NOTHING, Given, Record, named
from fhir_server.interactions.audit.trail import Mode, Pace, Trail
from fhir_server.problems import Problem

__all__ = ["Asked", "Audit", "Events", "Given", "Mode", "Pace", "Queries", "Record", "Trail"]

T = TypeVar("T")
# Interactions by the names that HL7 has no code for.
_CODES: Final = {
    "conditional-update": "update",
    "conditional-patch": "patch",
    "conditional-delete": "delete",
    "search-compartment": "search-type",
    "search": "search-type",
}
_BUG: Final = Problem(500, "exception", "an unexpected error")


class Asked(NamedTuple):
    """An interaction that somebody asks for; `id` is empty where it is about none, `params` are
    those of a search, in the compartment of `owner` (`Patient/x`) where there is one."""

    ctx: Context
    interaction: str
    type: str = ""
    id: str = ""
    params: Sequence[tuple[str, str]] | None = None
    owner: str = ""


@dataclass(slots=True)
class Audit:
    """Records interactions; `held` gathers what is recorded within a transaction, until that has
    ended."""

    trail: Trail
    queries: Queries
    held: list[Record] | None = None

    def holding(self) -> Audit:
        """One that keeps its records for the end of a transaction."""
        return replace(self, held=[])

    def anew(self) -> Audit:
        """The same one, which forgets what a try that failed has left in it."""
        self.held = []
        return self

    def records(self) -> list[Record]:
        """What is held."""
        return self.held or []

    async def of(
        self,
        asked: Asked,
        answer: Callable[[], Awaitable[T]],
        given: Callable[[T], Given | None],
    ) -> T:
        """The answer, recorded, refused or not; nothing is recorded where `given` has None."""
        if self.trail.full:
            await self.trail.room()
        try:
            found = await answer()
        except Exception as error:
            await self.refused(asked, error)
            raise
        what = given(found)
        if what is not None:
            record = self._record(asked, asked.interaction, what)
            await self.add(asked.ctx, [record])
        return found

    async def refused(self, asked: Asked, error: Exception) -> None:
        """Records what was not done, and the kind of reason."""
        await self.add(asked.ctx, [self.refusal(asked, error)])

    async def unless_told(self, asked: Asked, error: Exception) -> None:
        """Records a refusal that came before any interaction did: nothing is told twice."""
        if asked.ctx.origin is None or not asked.ctx.origin.told:
            await self.refused(asked, error)

    def refusal(self, asked: Asked, error: Exception) -> Record:
        """The record of a refusal; it names what was addressed, whether or not that exists."""
        problem = error if isinstance(error, Problem) else _BUG
        code = _CODES.get(asked.interaction, asked.interaction)
        reference = f"{asked.type}/{asked.id}" if asked.type and asked.id else ""
        data = (reference,) if reference else ()
        what = Given(data, data if asked.type == "Patient" else ()) if data else NOTHING
        issue = problem.issues[0].code
        return self._record(asked, code, what)._replace(status=problem.status, code=issue)

    async def add(self, ctx: Context, records: Sequence[Record]) -> None:
        """Takes finished records of one request."""
        if ctx.origin is not None:
            ctx.origin.told += len(records)
        if self.held is not None:
            self.held += records
        else:
            await self.trail.add(records)

    def _record(self, asked: Asked, interaction: str, given: Given) -> Record:
        if asked.params is None:
            return Record(asked.ctx, interaction, given)
        path = f"{asked.owner}/{asked.type}" if asked.owner else asked.type
        found = dict.fromkeys([*given.patients, *named(asked.params, asked.owner)])
        query = self.queries.of(path, asked.params)
        return Record(asked.ctx, interaction, Given(given.data, tuple(found)), query)
