"""Reads events from JetStream by durable pull consumers.

A message is acknowledged after its effect has committed. One that is refused, or meets a bug of
ours, comes again after a rest, and after `TRIES` goes to the dead-letter subject, as does at once
what is no usable event. While the database is away the consumer holds on to the messages it has,
however long: JetStream counts deliveries, and those of an outage must not count.
https://docs.nats.io/nats-concepts/jetstream/consumers
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import NotFoundError

from fhir_server.mapping.consumed import Consumed
from fhir_server.mapping.model import EventsDeclaration
from fhir_server.workers.broker import Broker, Message
from fhir_server.workers.incoming import Incoming, UnusableError, fault
from fhir_server.workers.publisher import FIRST_DELAY, LONGEST_DELAY, jittered

TRIES: Final = 5
FIRST_REST: Final = 1.0
LONGEST_REST: Final = 300.0
ACK_SECONDS: Final = 60.0
# How long a pull waits for messages, and how many it takes.
WAIT: Final = 20.0
SHARE: Final = 10

log = logging.getLogger(__name__)


class Consumer:
    """Reads every subject that is consumed; several servers share the work."""

    def __init__(
        self,
        broker: Broker,
        incoming: Incoming,
        declared: EventsDeclaration,
        consumed: Mapping[str, Consumed],
        *,
        rest: float = FIRST_REST,
    ) -> None:
        self._broker = broker
        self._incoming = incoming
        self._declared = declared
        self._rest = rest
        self._stopping = asyncio.Event()
        self.subjects = sorted({s for one in consumed.values() for s in one.subjects})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reads until the end of the block, and finishes what it has begun."""
        self._stopping.clear()
        tasks = [asyncio.create_task(self._forever(subject)) for subject in self.subjects]
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.gather(*tasks)

    async def _forever(self, subject: str) -> None:
        delay = FIRST_DELAY
        while not self._stopping.is_set():
            try:
                await self._read(subject)
                delay = FIRST_DELAY
            except Exception as error:  # noqa: BLE001 - the next one has its own chance
                if delay == FIRST_DELAY:
                    log.warning("events on %s wait: %s", subject, type(error).__name__)
                await self._stopped(jittered(delay))
                delay = min(2 * delay, LONGEST_DELAY)

    async def _read(self, subject: str) -> None:
        jetstream = await self._broker.jetstream()
        subscription = await _subscribed(jetstream, subject)
        try:
            while not self._stopping.is_set():
                fetching = asyncio.create_task(_fetched(subscription))
                stopping = asyncio.create_task(self._stopping.wait())
                await asyncio.wait({fetching, stopping}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                if not fetching.done():
                    fetching.cancel()
                    await asyncio.gather(fetching, return_exceptions=True)
                    return
                await self._take_all(deque(fetching.result()))
        finally:
            try:
                await subscription.unsubscribe()
            except NatsError:
                log.debug("the subscription to %s had ended", subject)

    async def _take_all(self, messages: deque[Msg]) -> None:
        """One after the other; during an outage all of them wait, and are not delivered again."""
        delay = FIRST_DELAY
        while messages and not self._stopping.is_set():
            if await self._take(messages[0]):
                messages.popleft()
                delay = FIRST_DELAY
                continue
            if delay == FIRST_DELAY:
                log.warning("events on %s wait: a dependency is away", messages[0].subject)
            await self._stopped(jittered(delay))
            delay = min(2 * delay, LONGEST_DELAY)
            for message in messages:
                await message.in_progress()

    async def _take(self, message: Msg) -> bool:
        """Whether it was dealt with; False during an outage."""
        try:
            await self._incoming.take(message.data)
        except Exception as error:  # noqa: BLE001 - whatever a rule raises, the rest goes on
            why = fault(error)
            if why is None:
                return False
            tries = message.metadata.num_delivered
            if isinstance(error, UnusableError) or tries >= TRIES:
                await self._bury(message, why)
            else:
                await message.nak(min(self._rest * 2**tries, LONGEST_REST))
        else:
            await message.ack_sync()
        return True

    async def _bury(self, message: Msg, why: str) -> None:
        """To the dead-letter subject, as it is."""
        log.error("a message on %s is a dead letter: %s", message.subject, why)
        place = message.metadata
        id = f"dead:{place.stream}:{place.sequence.stream}"
        subject = f"{self._declared.dead}.{message.subject}"
        await self._broker.publish(
            Message(subject, id, message.data, "application/octet-stream", {"Failure": why})
        )
        await message.term()

    async def _stopped(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


async def _fetched(subscription: JetStreamContext.PullSubscription) -> list[Msg]:
    try:
        return await subscription.fetch(SHARE, timeout=WAIT)
    except TimeoutError:
        return []


async def _subscribed(
    jetstream: JetStreamContext, subject: str
) -> JetStreamContext.PullSubscription:
    """The durable consumer that all our servers share; the stream is made where there is none."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", subject)
    try:
        stream = await jetstream.find_stream_name_by_subject(subject)
    except NotFoundError:
        stream = f"INBOUND_{name}"
        await jetstream.add_stream(StreamConfig(name=stream, subjects=[subject]))
    config = ConsumerConfig(ack_wait=ACK_SECONDS, max_deliver=-1)
    durable = f"fhir-server_{name}"
    return await jetstream.pull_subscribe(subject, durable=durable, stream=stream, config=config)
