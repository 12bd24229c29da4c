"""Does what requests under the GDPR ask for, each by the handler of its code.

What there is to do is read from the store in every round: a request stays open until its handler
is through, so a server that dies in the middle leaves it to the next round, of whichever server. A
handler therefore must be able to begin again. One server at a time works on those about a person.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from fhir_server.background import background
from fhir_server.communication.gdpr.request import (
    CODE,
    IN_PROGRESS,
    ON_HOLD,
    OPEN,
    REQUESTED,
    TYPE,
    code_of,
    due_by,
    moved,
    state_of,
    subject_of,
)
from fhir_server.context import Context
from fhir_server.fhir.json import parse
from fhir_server.interactions import Interactions, Ref, Resource, Stored
from fhir_server.store import Store
from fhir_server.store.alone import alone
from fhir_server.workers.tenants import tenants, worker

# Looks for itself now and then: at what waits for a hold, too.
EVERY: Final = 60.0
# Bells ring for every event; a request under the GDPR can wait for that long.
PAUSE: Final = 1.0
TELL_EVERY: Final = 5.0
PAGE: Final = 50

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: its next state, the entries of `Task.output`, and the code of the
    hold that it waits for."""

    state: str
    outputs: Sequence[Resource] = ()
    hold: str | None = None


@dataclass(slots=True)
class Job:
    """A request that is being done. `subject` is whose data it is about."""

    tenant: str
    id: str
    request: Resource
    subject: Ref
    interactions: Interactions
    _told: float = field(default_factory=time.monotonic)

    @property
    def ctx(self) -> Context:
        """The server itself, now."""
        return worker(self.tenant)

    async def tell(self, outputs: Iterable[Resource]) -> None:
        """How far it is; written at most every few seconds."""
        if time.monotonic() - self._told >= TELL_EVERY:
            await self.move(Outcome(IN_PROGRESS, list(outputs)))

    async def move(self, outcome: Outcome) -> None:
        """Writes what became of it, where that is new."""
        self._told = time.monotonic()
        await self.change(lambda seen: moved(seen, outcome.state, outcome.outputs, outcome.hold))

    async def change(self, change: Callable[[Resource], Resource]) -> None:
        """Writes the request as `change`, which must be pure, makes it, where that is new."""
        after = change(self.request)
        if after == self.request:
            return
        result = await self.interactions.patch(self.ctx, TYPE, self.id, change)
        self.request = result.resource or after


Handler = Callable[[Job], Awaitable[Outcome]]
Tidy = Callable[[str], Awaitable[None]]


@dataclass(slots=True)
class Gdpr:
    """The work on requests; `handlers` by code, `tidying` what is done for a tenant besides."""

    store: Store
    interactions: Interactions
    handlers: Mapping[str, Handler]
    tidying: Sequence[Tidy] = ()
    _woken: set[str] | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def round(self, names: Iterable[str] | None = None) -> None:
        """Does what there is to do, for all tenants unless `names` says which; what is on hold is
        looked at in a round for all."""
        states = (REQUESTED, IN_PROGRESS, ON_HOLD) if names is None else (REQUESTED, IN_PROGRESS)
        for tenant in await tenants(self.store) if names is None else sorted(names):
            for stored in await self.open(tenant, states):
                await self._attend(tenant, stored)
            for tidy in self.tidying if names is None else ():
                await tidy(tenant)

    async def open(self, tenant: str, states: Sequence[str] = OPEN) -> list[Stored]:
        """The requests in one of `states`, oldest first."""
        asked = [("code", f"{CODE}|"), ("status", ",".join(states)), ("_sort", "authored-on")]
        found: list[Stored] = []
        cursor: str | None = ""
        while cursor is not None:
            at = [("_cursor", cursor)] if cursor else []
            given = [*asked, ("_count", str(PAGE)), *at]
            page = await self.interactions.search(worker(tenant), TYPE, given)
            found += page.matches
            cursor = page.next or None
        return found

    @asynccontextmanager
    async def running(self, every: float = EVERY) -> AsyncIterator[None]:
        """Works until the end of the block: soon on what it hears of, on all at intervals."""
        async with background(self._listen(), self._forever(every)):
            yield

    async def _attend(self, tenant: str, stored: Stored) -> None:
        """One request; what goes wrong with it is nobody else's matter, and tried again. Of one
        person's only one is worked on at a time: what is being erased is not handed over."""
        try:
            subject = subject_of(parse(stored.body))
            person = f"{subject.type}/{subject.id}" if subject else stored.reference
            # No name that a write would claim, such as the handler's own.
            async with alone(self.store.sessions, worker(tenant), f"gdpr {person}") as mine:
                if mine:
                    await self._work(tenant, stored.id)
        except Exception as error:  # noqa: BLE001 - the next round has its own chance
            # Its message may quote patient data: the log gets its kind only.
            kind = type(error).__name__
            log.error("%s waits for another round: %s", stored.reference, kind)  # noqa: TRY400

    async def _work(self, tenant: str, id: str) -> None:
        current = await self.interactions.read(worker(tenant), TYPE, id)
        request: Resource = parse(current.body)
        handler, subject = self.handlers.get(code_of(request)), subject_of(request)
        if state_of(request) not in OPEN or handler is None or subject is None:
            return
        if worker(tenant).now > due_by(request):
            log.warning("%s is late: it was due by %s", current.reference, due_by(request))
        job = Job(tenant, id, request, subject, self.interactions)
        if state_of(request) == REQUESTED:
            await job.move(Outcome(IN_PROGRESS))
        await job.move(await handler(job))

    async def _listen(self) -> None:
        async for tenant in self.store.doorbell.heard():
            if tenant is None:
                self._woken = None
            elif self._woken is not None:
                self._woken.add(tenant)
            self._wake.set()

    async def _forever(self, every: float) -> None:
        names: set[str] | None = None
        while True:
            try:
                await self.round(names)
            except Exception as error:  # noqa: BLE001 - the next round has its own chance
                log.error("requests wait for a round: %s", type(error).__name__)  # noqa: TRY400
                self._woken = None
            await asyncio.sleep(PAUSE)
            names = await self._next(every)

    async def _next(self, every: float) -> set[str] | None:
        """The tenants somebody rang for; None, for all, when nobody did for that long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(every):
                await self._wake.wait()
                self._wake.clear()
                woken, self._woken = self._woken, set()
                return woken
        return None
