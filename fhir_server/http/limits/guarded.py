"""Counting that goes on while Redis is away: a message must not be refused for its count."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import monotonic

from redis.exceptions import RedisError

from fhir_server.http.limits.counter import Counter, Counts, Wanted

log = logging.getLogger(__name__)

# Seconds without asking Redis again after it did not answer.
PAUSE = 5.0


class Guarded:
    """Asks `shared`, and while that does not answer `local`."""

    def __init__(self, shared: Counter, local: Counter) -> None:
        self._shared = shared
        self._local = local
        self._again = 0.0

    async def take(self, wanted: Sequence[Wanted]) -> Counts:
        """Never raises."""
        if monotonic() >= self._again:
            try:
                return await self._shared.take(wanted)
            except (RedisError, OSError, TimeoutError) as error:
                self._again = monotonic() + PAUSE
                kind = type(error).__name__
                log.warning("rate limits count in this process for now: Redis gave %s", kind)
        return await self._local.take(wanted)

    async def aclose(self) -> None:
        """Closes both."""
        await self._shared.aclose()
        await self._local.aclose()
