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
from fhir_server.interactions.audit.trail import FullError, Mode, Pace, Trail
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
_CUT_OFF: Final = Problem(503, "timeout", "it was cut off, and may have been done or not")


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
        except BaseException as error:
            await self.undone(asked.ctx, [asked], error)
            raise
        what = given(found)
        if what is not None:
            record = self._record(asked, asked.interaction, what)
            await self.add(asked.ctx, [record])
        return found

    async def refused(self, asked: Asked, error: Exception) -> None:
        """Records what was not done, and the kind of reason."""
        await self.add(asked.ctx, [self.refusal(asked, error)])

    async def undone(
        self, ctx: Context, asked: Sequence[Asked], error: BaseException, held: Audit | None = None
    ) -> None:
        """Records why none of it was done, and what `held` has that was refused. Where it was cut
        off, nobody waits any more, and a write may have been done."""
        reason = error if isinstance(error, Exception) else _CUT_OFF
        records = [self.refusal(one, reason) for one in asked]
        records += [record for record in held.records() if record.code] if held else []
        if reason is error:
            await self.add(ctx, records)
        else:
            self._take(ctx, records)

    async def unless_told(self, asked: Asked, error: Exception) -> None:
        """Records a refusal that came before any interaction did: nothing is told twice."""
        if isinstance(error, FullError) or (asked.ctx.origin and asked.ctx.origin.told):
            return
        if self.trail.full:
            await self.trail.room()
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
        """Takes finished records of one request; in strict mode, until they are committed."""
        self._take(ctx, records)
        if self.held is None:
            await self.trail.settled()

    def _take(self, ctx: Context, records: Sequence[Record]) -> None:
        if ctx.origin is not None:
            ctx.origin.told += len(records)
        if self.held is not None:
            self.held += records
        else:
            self.trail.take(records)

    def _record(self, asked: Asked, interaction: str, given: Given) -> Record:
        if asked.params is None:
            return Record(asked.ctx, interaction, given)
        path = f"{asked.owner}/{asked.type}" if asked.owner else asked.type
        found = dict.fromkeys([*given.patients, *named(asked.params, asked.owner)])
        query = self.queries.of(path, asked.params)
        return Record(asked.ctx, interaction, Given(given.data, tuple(found)), query)
