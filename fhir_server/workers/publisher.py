"""Takes events from the outbox to NATS JetStream, or without it to those here who consume them:
each at least once and an aggregate's in order.

An event is marked in the transaction that claimed it, after JetStream has stored it. A publisher
that dies in between leaves it waiting, and the next one sends it again under the same Nats-Msg-Id,
which the stream keeps once. What cannot be told outside as its schema says, or is refused again and
again, becomes a dead letter (`fhir-server events dead`); whatever follows in its aggregate goes on.
While NATS is away nothing is counted against an event: everything waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from random import SystemRandom
from typing import Final, Protocol

import orjson
from jsonschema import Draft202012Validator

from fhir_server.background import background
from fhir_server.mapping.events import EventShape
from fhir_server.mapping.model import EventsDeclaration
from fhir_server.store import Store
from fhir_server.store.outbox import Claimed
from fhir_server.workers.broker import BrokerDownError, Message, RefusedError
from fhir_server.workers.cloud_event import CONTENT_TYPE, cloud_event
from fhir_server.workers.tenants import tenants, worker

# Looks for itself now and then, should nobody have told.
EVERY: Final = 30.0
TRIES: Final = 5
FIRST_REST: Final = timedelta(seconds=2)
FIRST_DELAY, LONGEST_DELAY = 0.2, 30.0
# Of its own: the process's generator may be seeded, and is others' too.
_RANDOM: Final = SystemRandom()

log = logging.getLogger(__name__)


class Sender(Protocol):
    """Where messages go."""

    async def publish(self, message: Message) -> None:
        """Returns once it is kept there; BrokerDownError or RefusedError otherwise."""


@dataclass(slots=True)
class _Outcome:
    """What became of one aggregate's events."""

    published: list[int] = field(default_factory=list)
    buried: dict[int, str] = field(default_factory=dict)
    retry: Claimed | None = None
    down: bool = False


class Publisher:
    """Publishes the events of all tenants; several may work at once."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        declared: EventsDeclaration,
        shapes: Mapping[str, EventShape],
    ) -> None:
        self._store = store
        self._sender = sender
        self._declared = declared
        self._schemas = {
            type_: Draft202012Validator(dict(shape.schema)) for type_, shape in shapes.items()
        }
        self._woken: set[str] | None = None
        self._wake = asyncio.Event()

    async def round(self, names: Iterable[str] | None = None) -> int:
        """Publishes what waits, of all tenants unless `names` says which, a batch each in turn;
        how many events that were. BrokerDownError where NATS is away."""
        done = 0
        turns = deque(await tenants(self._store) if names is None else names)
        while turns:
            tenant = turns.popleft()
            moved, published = await self._batch(tenant)
            done += published
            if moved:
                turns.append(tenant)
        return done

    @asynccontextmanager
    async def running(self, every: float = EVERY) -> AsyncIterator[None]:
        """Publishes until the end of the block: at once what it hears of, all at intervals."""
        async with background(self._listen(), self._forever(every)):
            yield

    async def _listen(self) -> None:
        self._woken = set()
        async for tenant in self._store.doorbell.heard():
            if tenant is None:
                self._woken = None
            elif self._woken is not None:
                self._woken.add(tenant)
            self._wake.set()

    async def _forever(self, every: float) -> None:
        delay, names = FIRST_DELAY, None
        while True:
            try:
                await self.round(names)
            except Exception as error:  # noqa: BLE001 - the next round has its own chance
                if delay == FIRST_DELAY:
                    # Its message may quote patient data: the log gets its kind only.
                    log.warning("events wait in the outbox: %s", type(error).__name__)
                await asyncio.sleep(jittered(delay))
                delay, names = min(2 * delay, LONGEST_DELAY), None
            else:
                delay = FIRST_DELAY
                names = await self._next(every)

    async def _next(self, every: float) -> set[str] | None:
        """The tenants somebody rang for; None, for all, when nobody did for that long."""
        try:
            async with asyncio.timeout(jittered(every)):
                await self._wake.wait()
        except TimeoutError:
            return None
        self._wake.clear()
        woken, self._woken = self._woken, set()
        return woken

    async def _batch(self, tenant: str) -> tuple[bool, int]:
        """Whether anything moved, and how many events were published."""
        ctx, outbox = worker(tenant), self._store.outbox
        async with self._store.sessions.session(ctx) as session, session.transaction():
            claimed = await outbox.claim(session, ctx.now)
            outcomes = await self._all(tenant, claimed, ctx.now)
            published = [seq for outcome in outcomes for seq in outcome.published]
            if published:
                await outbox.published(session, published, ctx.now)
            for outcome in outcomes:
                for seq, failure in outcome.buried.items():
                    await outbox.bury(session, seq, ctx.now, failure)
                if outcome.retry is not None:
                    rest = FIRST_REST * 2**outcome.retry.tries
                    at = ctx.now + timedelta(seconds=jittered(rest.total_seconds()))
                    await outbox.retry(session, outcome.retry.seq, at)
        if any(outcome.down for outcome in outcomes):
            raise BrokerDownError
        return bool(claimed), len(published)

    async def _all(
        self, tenant: str, claimed: Sequence[Claimed], now: datetime
    ) -> Sequence[_Outcome]:
        """Aggregates beside each other, the events of each one after the other."""
        ordered = sorted(claimed, key=lambda one: (one.event.subject, one.seq))
        groups = [list(own) for _, own in groupby(ordered, key=lambda one: one.event.subject)]
        return await asyncio.gather(*(self._aggregate(tenant, own, now) for own in groups))

    async def _aggregate(self, tenant: str, events: Sequence[Claimed], now: datetime) -> _Outcome:
        outcome = _Outcome()
        for one in events:
            fault = self._fault(one)
            try:
                if fault is None:
                    await self._send(tenant, one, now)
                    outcome.published.append(one.seq)
            except BrokerDownError:
                outcome.down = True
                break
            except RefusedError as error:
                if one.tries + 1 < TRIES:
                    outcome.retry = one
                    break
                fault = str(error)
            if fault is not None:
                log.error("event %s is a dead letter: %s", one.event.id, fault)
                outcome.buried[one.seq] = fault
        return outcome

    def _fault(self, one: Claimed) -> str | None:
        """Why it cannot be told outside, without a value of it."""
        schema = self._schemas.get(one.event.type)
        if schema is None:
            return "no mapping file declares its type"
        error = next(schema.iter_errors(dict(one.event.data)), None)
        if error is None:
            return None
        place = "/".join(map(str, error.absolute_path)) or "the data"
        return f"{place} does not meet `{error.validator}` of its schema"

    async def _send(self, tenant: str, one: Claimed, now: datetime) -> None:
        body = orjson.dumps(cloud_event(tenant, one.event))
        for n, subject in enumerate(self._declared.subjects(one.event.type, now.date())):
            # One stream may keep all subjects, so each copy has an id of its own.
            id = f"{one.event.id}:{subject}" if n else one.event.id
            await self._sender.publish(Message(subject, id, body, CONTENT_TYPE))


def jittered(seconds: float) -> float:
    """Between half of it and all of it, so that many do not come back at once."""
    return seconds * _RANDOM.uniform(0.5, 1)
