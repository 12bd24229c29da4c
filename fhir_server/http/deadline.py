"""No request waits longer than it may, whatever it waits for.

A write that was cut off may have been done: whoever sends it again by the same Idempotency-Key, or
under the same condition, gets its answer and not a second effect.
"""

from __future__ import annotations

from asyncio import timeout
from collections.abc import Awaitable

from fhir_server.http.wire import Reply
from fhir_server.problems import Problem

RETRY_SECONDS = 1


async def within(seconds: float, answer: Awaitable[Reply]) -> Reply:
    """The answer, or Problem 503 where it takes longer."""
    deadline = timeout(seconds)
    try:
        async with deadline:
            return await answer
    except TimeoutError:
        if not deadline.expired():
            raise
        raise _too_late() from None


def _too_late() -> Problem:
    why = "it took too long, and may have been done or not; a write is safe to send again as it was"
    return Problem(503, "timeout", why, headers={"retry-after": str(RETRY_SECONDS)})
