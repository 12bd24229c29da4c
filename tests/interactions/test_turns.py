"""Long work leaves room for others."""

from __future__ import annotations

import asyncio
from time import perf_counter

from fhir_server.interactions.turns import TURN, in_turns


def work(seconds: float) -> None:
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


async def test_others_are_served_between_long_items() -> None:
    served = 0

    async def serve() -> None:
        nonlocal served
        while True:
            served += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(serve())
    seen = []
    async for item in in_turns(range(5)):
        seen.append(item)
        work(2 * TURN)
    others.cancel()
    assert seen == [0, 1, 2, 3, 4]
    assert served == 4


async def test_short_items_wait_for_nobody() -> None:
    asked = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(asked.set_result, None)
    assert [item async for item in in_turns("ab")] == ["a", "b"]
    assert not asked.done()
