"""One event loop serves everyone: who has much to do gives others a turn now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from time import perf_counter
from typing import Final, TypeVar

T = TypeVar("T")
# Seconds of work after which others get a turn.
TURN: Final = 0.005


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """The items; what others wait for is done before the next one, where a turn is over."""
    since = perf_counter()
    for item in items:
        if perf_counter() - since > TURN:
            await asyncio.sleep(0)
            since = perf_counter()
        yield item
