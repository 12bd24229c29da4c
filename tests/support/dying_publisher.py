"""A publisher that is killed after so many messages, before it can mark them as published.

python -m tests.support.dying_publisher DATABASE_URL NATS_URL TENANT MESSAGES
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass

from fhir_server.app import build_core
from fhir_server.settings import Settings
from fhir_server.workers.broker import Broker, Message


@dataclass
class Dying:
    """Sends `left` messages and dies."""

    broker: Broker
    left: int

    async def publish(self, message: Message) -> None:
        await self.broker.publish(message)
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(database: str, nats: str, tenant: str, messages: str) -> None:
    settings = Settings(environment="test", database_url=database, nats_url=nats)
    core = build_core(settings)
    broker = core.broker(settings)
    assert broker is not None
    await core.store.sessions.open()
    await core.publisher(Dying(broker, int(messages))).round([tenant])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
