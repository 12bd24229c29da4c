"""Several intents as one: all of them are carried out, or none is.

https://hl7.org/fhir/R4/http.html#trules. In one database transaction: deletions first, then what
is created, then what is changed; reads last. Within these, a resource is written after those that
its rules look at, so that a message finds the thread that the same Bundle opens; what need not
wait for others is loaded, decided and written together, set by set. Where another write comes in
between, everything begins again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from fhir_server.context import Context
from fhir_server.interactions.intents import Intent
from fhir_server.interactions.model import Ref, Result
from fhir_server.interactions.pipeline import ATTEMPTS, BUSY, CLAIMING, LOCKED, Locking
from fhir_server.interactions.plan import Place
from fhir_server.interactions.transaction.work import Member, Work
from fhir_server.interactions.writes import Writes
from fhir_server.problems import Problem, conflict
from fhir_server.store.commit import OvertakenError
from fhir_server.store.search.page import Reach
from fhir_server.store.session import Joined

T = TypeVar("T")
Then = Callable[[Joined], Awaitable[T]]

__all__ = ["Entry", "Transactions"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An intent of a Bundle; others refer to its resource by `full_url`; refusals are raised
    within `place`."""

    intent: Intent
    full_url: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Transactions:
    """Carries out entries together."""

    writes: Writes

    async def run(
        self, ctx: Context, entries: Sequence[Entry], reach: Reach, then: Then[T]
    ) -> tuple[list[Result], T]:
        """The results in the order of the entries, and what `then` reads before the commit.

        Problem of the first entry that is refused, and then nothing is stored; 400 where two
        entries are about the same resource. `reach` is what the caller's scopes limit each type
        to that a conditional reference asks for.
        """
        _check_distinct(entries)
        for attempt in range(ATTEMPTS):
            locking = LOCKED if attempt else CLAIMING
            with suppress(OvertakenError):
                return await self._attempt(ctx, entries, reach, then, locking)
        raise conflict(BUSY)

    async def _attempt(
        self,
        ctx: Context,
        entries: Sequence[Entry],
        reach: Reach,
        then: Then[T],
        locking: Locking,
    ) -> tuple[list[Result], T]:
        sessions = self.writes.pipeline.sessions
        members = [Member(e.intent, e.full_url, e.place) for e in entries]
        async with sessions.session(ctx) as session, session.transaction():
            await Work(self.writes, session, ctx, reach, locking).write(members)
            read = await then(Joined(session))
        return [member.result for member in members], read


def _check_distinct(entries: Sequence[Entry]) -> None:
    """What conditions turn out to mean is checked as it is written."""
    seen: set[Ref] = set()
    for entry in entries:
        if entry.intent.condition is not None or entry.intent.method == "POST":
            continue
        if entry.intent.ref in seen:
            with entry.place:
                raise Problem(400, "invalid", "another entry is about the same resource")
        seen.add(entry.intent.ref)
