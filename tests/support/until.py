"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

PAUSE = 0.02


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Returns once it holds; TimeoutError after that long."""
    end = monotonic() + seconds
    while not await holds():
        if monotonic() > end:
            raise TimeoutError
        await asyncio.sleep(PAUSE)
