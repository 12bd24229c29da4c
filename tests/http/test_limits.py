"""The counters of the rate limits: exact in any window, for one process and for many."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.http.limits import local
from fhir_server.http.limits.counter import Counts, Wanted
from fhir_server.http.limits.guarded import Guarded
from fhir_server.http.limits.local import LocalCounter
from fhir_server.http.limits.shared import SharedCounter
from tests.support.redis import redis_server


@pytest.fixture
def redis_url(folder: Path) -> Iterator[str]:
    with redis_server(folder) as url:
        yield url


Steps = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["ann", "ben"])), max_size=60)


@given(Steps, st.integers(1, 6), st.integers(1, 4))
def test_no_window_lets_more_through(steps: list[tuple[int, str]], tenant: int, user: int) -> None:
    """Against brute force: who was let through in the last ten seconds, and whether he might."""
    clock = 0.0
    counter = LocalCounter(lambda: clock)
    let: list[tuple[float, str]] = []
    for wait, name in steps:
        clock += wait
        recent = [who for at, who in let if at > clock - 10]
        might = len(recent) < tenant and recent.count(name) < user
        counts = asyncio.run(counter.take([Wanted("t", tenant, 10), Wanted(name, user, 10)]))
        assert counts.allowed == might
        if might:
            let.append((clock, name))
            recent.append(name)
        assert counts.used == [len(recent), recent.count(name)]
        assert all(0 <= frees <= 10 for frees in counts.frees)


def test_what_nobody_uses_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST_KEYS", 3)
    clock = 0.0
    counter = LocalCounter(lambda: clock)

    def used(key: str) -> int:
        return asyncio.run(counter.take([Wanted(key, 5, 10)])).used[0]

    assert [used(key) for key in ("a", "b", "a")] == [1, 1, 2]
    clock = 5.0
    assert used("c") == 1
    clock = 12.0
    assert [used("d"), used("c")] == [1, 2]


async def _at_once(url: str, wanted: list[list[Wanted]], processes: int = 4) -> list[Counts]:
    counters = [SharedCounter(url) for _ in range(processes)]
    work = [counters[n % processes].take(one) for n, one in enumerate(wanted)]
    try:
        return list(await asyncio.gather(*work))
    finally:
        for counter in counters:
            await counter.aclose()


async def test_many_processes_count_together(redis_url: str) -> None:
    tenant = Wanted("t", 50, 60)
    asked = [[tenant, Wanted(f"u{n % 4}", 20, 60)] for n in range(200)]
    counts = await _at_once(redis_url, asked)
    assert sum(one.allowed for one in counts) == 50
    assert max(one.used[0] for one in counts) == 50
    assert max(one.used[1] for one in counts) <= 20


async def test_who_is_refused_does_not_count(redis_url: str) -> None:
    counter = SharedCounter(redis_url)
    both = [Wanted("t", 10, 60), Wanted("u", 2, 60)]
    counts = [await counter.take(both) for _ in range(5)]
    await counter.aclose()
    assert [one.allowed for one in counts] == [True, True, False, False, False]
    assert list(counts[-1].used) == [2, 2]
    assert 59 < counts[-1].frees[1] <= 60


async def test_redis_counts_as_this_process_does(redis_url: str) -> None:
    shared, alone = SharedCounter(redis_url), LocalCounter()
    for n in range(30):
        wanted = [Wanted("t", 12, 60), Wanted(f"u{n % 3}", 5, 60)]
        one, other = await shared.take(wanted), await alone.take(wanted)
        assert (one.allowed, list(one.used)) == (other.allowed, list(other.used))
    await shared.aclose()


async def test_a_window_passes(redis_url: str) -> None:
    """In Redis as well, without waiting: its list is made to look a minute older."""
    counter = SharedCounter(redis_url)
    wanted = [Wanted("t", 1, 60)]
    assert (await counter.take(wanted)).allowed
    assert not (await counter.take(wanted)).allowed
    [key] = await counter._redis.keys("*")
    oldest = await counter._redis.lindex(key, 0)
    old = int(oldest or 0) - 60_000_000
    await counter._redis.lset(key, 0, str(old))
    assert (await counter.take(wanted)).allowed
    await counter.aclose()


async def test_without_redis_this_process_counts(folder: Path) -> None:
    with redis_server(folder) as url:
        counter = Guarded(SharedCounter(url), LocalCounter())
        assert (await counter.take([Wanted("t", 2, 60)])).used == [1]
    counts = [await counter.take([Wanted("t", 2, 60)]) for _ in range(3)]
    assert [one.allowed for one in counts] == [True, True, False]
    await counter.aclose()
