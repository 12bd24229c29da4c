"""Brings attachments on their way: what waits is scanned, what is infected is removed, what never
came is given up.

What there is to do is read from the store in every round, so nothing is lost by a restart, and a
round that several servers make at once does no harm: the verdict is written for the version that
was scanned, or not at all. While the scanner is away, everything waits; uploads go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fhir_server.background import background
from fhir_server.communication.attachment_state import (
    ABANDONED,
    CLEAN,
    FILE,
    INFECTED,
    INITIATED,
    QUARANTINED,
    TYPE,
    file_of,
    moved,
)
from fhir_server.fhir.instant import now_text
from fhir_server.fhir.json import parse
from fhir_server.files import FileStore, LostFileError
from fhir_server.files.scanner import Scanner, ScannerDownError, UnscannableError
from fhir_server.interactions import Interactions, Resource, Stored
from fhir_server.problems import Problem
from fhir_server.store import Store
from fhir_server.workers.tenants import tenants, worker

EVERY = 60.0
# Seconds until the next try with a scanner that is away: doubled each time.
FIRST_DELAY, LONGEST_DELAY = 1.0, 300.0
FIRST_REST, LONGEST_REST = timedelta(minutes=1), timedelta(hours=6)
PATIENCE = timedelta(days=1)
SWEEP_EVERY = timedelta(hours=1)
PAGE = 50

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Rest:
    """When a file that could not be scanned has its next turn."""

    until: datetime
    length: timedelta


@dataclass(slots=True)
class Attachments:
    """The work on attachments; without a `scanner`, uploads stay in quarantine."""

    store: Store
    interactions: Interactions
    files: FileStore
    scanner: Scanner | None
    _woken: set[str] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _swept: datetime | None = None
    _resting: dict[str, _Rest] = field(default_factory=dict)

    def wake(self, tenant: str) -> None:
        """Something of this tenant's waits."""
        self._woken.add(tenant)
        self._wake.set()

    async def round(self, names: Sequence[str] | None = None) -> None:
        """Does what there is to do, for all tenants unless `names` says which; ScannerDownError
        when the scanner goes away."""
        now = worker("").now
        sweeping = names is None and (self._swept is None or now - self._swept > SWEEP_EVERY)
        for tenant in await tenants(self.store) if names is None else names:
            await self._tidy(tenant)
            if sweeping:
                await self.files.sweep(tenant, now - 2 * PATIENCE)
            if self.scanner is not None:
                await self._scan(tenant, self.scanner)
        self._swept = now if sweeping else self._swept

    @asynccontextmanager
    async def running(self, every: float = EVERY) -> AsyncIterator[None]:
        """Works until the end of the block: at once for who is woken, for all at intervals."""
        async with background(self._forever(every)):
            yield

    async def _forever(self, every: float) -> None:
        delay, names = FIRST_DELAY, None
        while True:
            try:
                await self.round(names)
                delay = FIRST_DELAY
                names = await self._next(every)
            except ScannerDownError:
                if delay == FIRST_DELAY:
                    log.warning("the scanner cannot be reached; attachments wait")
                await asyncio.sleep(delay)
                delay, names = min(2 * delay, LONGEST_DELAY), None
            except Exception as error:  # noqa: BLE001 - the next round has its own chance
                # Its message may quote patient data: the log gets its kind only.
                log.error("attachments wait for a round: %s", type(error).__name__)  # noqa: TRY400
                await asyncio.sleep(every)

    async def _next(self, every: float) -> list[str] | None:
        """The tenants that were woken; None, for all, when nobody was for that long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(every):
                await self._wake.wait()
        self._wake.clear()
        woken, self._woken = sorted(self._woken), set()
        return woken or None

    async def _tidy(self, tenant: str) -> None:
        infected = [("attachment-state", INFECTED), ("identifier", FILE + "|")]
        async for found in self._found(tenant, infected):
            await self._remove(tenant, found)
        past = now_text(worker(tenant).now - PATIENCE)
        async for found in self._found(
            tenant, [("attachment-state", INITIATED), ("date", f"lt{past}")]
        ):
            await self._move(tenant, found, ABANDONED)
            await self.files.remove_draft(tenant, found.reference)

    async def _scan(self, tenant: str, scanner: Scanner) -> None:
        async for found in self._found(tenant, [("attachment-state", QUARANTINED)]):
            now = worker(tenant).now
            rest = self._resting.get(found.reference)
            if rest is not None and now < rest.until:
                continue
            try:
                infected = await self._verdict(tenant, found, scanner)
            except (UnscannableError, LostFileError) as error:
                log.warning("%s stays unscanned: %s", found.reference, type(error).__name__)
                self._lay_by(found.reference, now)
                continue
            self._resting.pop(found.reference, None)
            moved_on = await self._move(tenant, found, INFECTED if infected else CLEAN)
            if infected and moved_on is not None:
                await self._remove(tenant, moved_on)

    def _lay_by(self, reference: str, now: datetime) -> None:
        before = self._resting.get(reference)
        length = min(2 * before.length, LONGEST_REST) if before else FIRST_REST
        self._resting[reference] = _Rest(now + length, length)

    async def _verdict(self, tenant: str, found: Stored, scanner: Scanner) -> bool:
        file = file_of(parse(found.body))
        async with aclosing(self.files.read(tenant, file or "")) as chunks:
            return await scanner.infected(chunks)

    async def _remove(self, tenant: str, found: Stored) -> None:
        """The content first, then the word that it is gone."""
        file = file_of(parse(found.body))
        if file is not None:
            await self.files.remove(tenant, file)
        await self._move(tenant, found, INFECTED, without="masterIdentifier")

    async def _move(
        self, tenant: str, found: Stored, state: str, without: str = ""
    ) -> Stored | None:
        """The new version; None where another server was faster."""

        def change(resource: Resource) -> Resource:
            kept = {name: value for name, value in resource.items() if name != without}
            return moved(kept, state)

        try:
            result = await self.interactions.patch(
                worker(tenant), TYPE, found.id, change, if_match=f'W/"{found.version}"'
            )
        except Problem as problem:
            if problem.status >= 500:
                raise
            return None
        return result.stored

    async def _found(
        self, tenant: str, criteria: Sequence[tuple[str, str]]
    ) -> AsyncIterator[Stored]:
        """All that match, oldest first."""
        cursor: str | None = ""
        while cursor is not None:
            at = [("_cursor", cursor)] if cursor else []
            asked = [*criteria, ("_sort", "date"), ("_count", str(PAGE)), *at]
            page = await self.interactions.search(worker(tenant), TYPE, asked)
            for stored in page.matches:
                yield stored
            cursor = page.next or None
