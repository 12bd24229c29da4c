"""The audit trail on its way into the database: gathered, written in batches, never dropped.

An interaction first makes sure that there is room for its record, then happens, then leaves the
record here. A task writes what has gathered, a batch of each tenant at a time. In strict mode
everyone waits for the end of the batch that has his record; so those who wait together share one
commit. While the database is away, records stay here and it is tried again;
when there is no more room, nobody is let in: what cannot be recorded does not happen.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Event, Future, Lock, get_running_loop
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal

from fhir_server.context import Context
from fhir_server.interactions.audit.event import Events
from fhir_server.interactions.audit.record import Record
from fhir_server.problems import Problem
from fhir_server.store.audit import Chain, Entry
from fhir_server.store.session import Sessions

Mode = Literal["batched", "strict"]
UNAVAILABLE: Final = "the audit trail cannot be written at the moment"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """`room` is how many records may wait; a batch is written when it has `batch` of them, after
    `every` seconds, or at once when somebody waits for it. Nobody waits longer than `patience`
    seconds, nor an end of the server longer than `grace`."""

    mode: Mode = "batched"
    room: int = 10_000
    batch: int = 500
    every: float = 0.25
    patience: float = 5.0
    grace: float = 15.0


class FullError(Problem):
    """There is no room for a record, so nothing is done that would leave one."""


class Trail:
    """Takes records and writes them; outside of `running()`, each at once."""

    def __init__(
        self, sessions: Sessions, chain: Chain, events: Events, pace: Pace | None = None
    ) -> None:
        self._sessions = sessions
        self._chain = chain
        self._events = events
        self.pace = pace or Pace()
        self._waiting: list[Record] = []
        self._writing = 0
        self._done: Future[None] | None = None
        self._running = False
        self._stopping = False
        self._wake = Event()
        self._freed = Event()
        self._alone = Lock()

    @property
    def full(self) -> bool:
        """Whether there is no room for another record."""
        return len(self._waiting) + self._writing >= self.pace.room

    async def room(self) -> None:
        """Returns when there is some; 503 when there is none for too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.pace.patience):
                while self.full:
                    self._freed.clear()
                    self._wake.set()
                    await self._freed.wait()
                return
        raise FullError(503, "transient", UNAVAILABLE)

    async def add(self, records: Sequence[Record]) -> None:
        """Takes them; in strict mode, returns when they are committed, and raises Problem 503 when
        that takes too long: they are written later all the same."""
        self.take(records)
        await self.settled()

    def take(self, records: Sequence[Record]) -> None:
        """Takes them, and nobody waits."""
        self._waiting += records
        if len(self._waiting) >= self.pace.batch:
            self._wake.set()

    async def settled(self) -> None:
        """What was taken is committed, where that is asked for."""
        if not self._running:
            await self._at_once()
        elif self.pace.mode == "strict":
            await self._committed()

    async def _at_once(self) -> None:
        async with self._alone:
            if self._waiting:
                await self._flush(patient=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Writes until the end of the block, and then all that is left."""
        self._running, self._stopping = True, False
        task = asyncio.create_task(self._forever())
        try:
            yield
        finally:
            self._stopping = True
            self._wake.set()
            self._running = False
            await self._ended(task)

    async def _ended(self, task: asyncio.Task[None]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.pace.grace):
                await task
        left = len(self._waiting) + self._writing
        if left:
            log.critical("%d audit records are lost: the database cannot be reached", left)

    async def _committed(self) -> None:
        if self._done is None:
            self._done = get_running_loop().create_future()
        self._wake.set()
        try:
            async with asyncio.timeout(self.pace.patience):
                await asyncio.shield(self._done)
        except TimeoutError:
            raise Problem(503, "transient", UNAVAILABLE) from None

    async def _forever(self) -> None:
        while not (self._stopping and not self._waiting):
            with suppress(TimeoutError):
                async with asyncio.timeout(self.pace.every):
                    await self._wake.wait()
            self._wake.clear()
            await self._flush(patient=True)

    async def _flush(self, *, patient: bool) -> None:
        """Writes what waits; a `patient` one tries until it is done, another one leaves what it
        could not write, and raises."""
        taken, self._waiting = self._waiting, []
        done, self._done = self._done, None
        self._writing += len(taken)
        batches = _batches(taken, self.pace.batch)
        try:
            while batches:
                first = batches[0]
                entries = self._events.entries(first)
                await self._written(first[0].ctx.tenant, entries, patient=patient)
                self._writing -= len(batches.pop(0))
                self._freed.set()
        finally:
            left = [record for batch in batches for record in batch]
            self._writing -= len(left)
            self._waiting[:0] = left
        if done is not None:
            done.set_result(None)

    async def _written(self, tenant: str, entries: Sequence[Entry], *, patient: bool) -> None:
        ctx, delay, tried = Context(tenant, "fhir-server", face="job"), 0.05, False
        while True:
            try:
                async with self._sessions.session(ctx) as session:
                    # Where an attempt broke off, it may have been committed all the same.
                    if not (tried and await self._chain.holds(session, entries)):
                        await self._chain.append(session, tenant, entries)
            except Exception as error:
                if not patient:
                    raise
                if not tried:
                    log.error("audit records wait: %s", type(error).__name__)  # noqa: TRY400
                tried = True
                await asyncio.sleep(delay)
                delay = min(2 * delay, 2.0)
            else:
                return


def _batches(records: Sequence[Record], most: int) -> list[list[Record]]:
    """Those of one tenant together, in their order."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.ctx.tenant, []).append(record)
    return [own[at : at + most] for own in found.values() for at in range(0, len(own), most)]
