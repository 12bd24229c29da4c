"""Where events go without NATS: to the mapping files of this server that consume them.

The publisher claims, orders, repeats and gives up as it does for NATS; this is its other sender. An
event is marked as published once its effect has committed. A crash between the two repeats it, and
the event's id, kept with the effect, makes the repetition harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from fhir_server.mapping.consumed import Consumed
from fhir_server.workers.broker import BrokerDownError, Message, RefusedError
from fhir_server.workers.incoming import Incoming, fault

# Effects at the same time: each needs a connection to the database, which requests need too.
AT_ONCE: Final = 4


class Delivery:
    """Hands messages to `incoming`, as far as their subject is consumed."""

    def __init__(self, incoming: Incoming, consumed: Iterable[Consumed]) -> None:
        self._incoming = incoming
        self._subjects = frozenset(subject for one in consumed for subject in one.subjects)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def publish(self, message: Message) -> None:
        """Returns once its effect has committed; BrokerDownError or RefusedError otherwise."""
        if message.subject not in self._subjects:
            return
        async with self._turns:
            try:
                await self._incoming.take(message.body)
            except Exception as error:
                why = fault(error)
                if why is None:
                    raise BrokerDownError from error
                raise RefusedError(why) from error
