"""A server without NATS that is killed after so many effects, before it can mark their events.

python -m tests.support.dying_delivery DATABASE_URL DECLARED_FOLDER TENANT EFFECTS
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from fhir_server.app import build_core
from fhir_server.settings import Settings
from fhir_server.workers.broker import Message
from fhir_server.workers.delivery import Delivery


@dataclass
class Dying:
    """Delivers `left` events and dies."""

    delivery: Delivery
    left: int

    async def publish(self, message: Message) -> None:
        await self.delivery.publish(message)
        # The same event on an old subject has no effect of its own.
        self.left -= ":" not in message.id
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(database: str, root: str, tenant: str, effects: str) -> None:
    core = build_core(Settings(environment="test", database_url=database), Path(root))
    await core.store.sessions.open()
    await core.publisher(Dying(core.delivery(), int(effects))).round([tenant])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
