"""How the time of a search and of a user's lists of threads grows with the store.

Every patient and every user has as many Communications in one store as in another, so answers are
of one size. One more store has a thread of 10,000 messages, the newest, on the page of the lists.
One connection asks, so that a time is that of one request and not of waiting for others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from bench.process import Server, kept
from bench.setting import Bench, served
from bench.workload import requests

SIZES = (1_000, 20_000, 1_000_000)
# The store that has a long thread, and how much longer.
MIDDLE, LONGER = 20_000, 10_000
TITLES: Mapping[str, str] = {
    "search": "25 newest of a patient",
    "inbox": "v1: ten threads",
    "inbox-unread": "v1: five unread threads",
}
TARGET = 1.3
CONNECTIONS = 1
WARM = 3
Run = dict[str, Any]
# A server and its requests by name.
Running = tuple[Server, Mapping[str, Path]]


class Prepare(Protocol):
    """Makes a bench with so many Communications."""

    def __call__(self, size: int, *, read: bool, longer: int = 0) -> Bench: ...


def growth(
    prepare: Prepare, sizes: Sequence[int] = SIZES, middle: int = MIDDLE, longer: int = LONGER
) -> dict[str, Any]:
    """Loads a server on each store in turn; `growth` is, by name, the median of the rounds' p50
    ratios of each store to the store of `middle` size."""
    benches = {str(size): prepare(size, read=True) for size in sizes}
    benches[f"{middle}, one thread of {longer}"] = prepare(middle, read=True, longer=longer)
    asked = benches[str(middle)].asked
    with ExitStack() as stack:
        running = {
            name: (stack.enter_context(served(bench)), _requests(bench))
            for name, bench in benches.items()
        }
        _turn(running, asked.seconds * WARM)
        rounds = [_turn(running, asked.seconds) for _ in range(asked.rounds)]
    return {
        "asked": {**asdict(asked), "connections": CONNECTIONS},
        "growth": {
            title: {
                store: median(
                    one[title][store]["p50_ms"] / one[title][str(middle)]["p50_ms"]
                    for one in rounds
                )
                for store in benches
            }
            for title in TITLES
        },
        "rounds": rounds,
    }


def _requests(bench: Bench) -> dict[str, Path]:
    return {
        title: kept(
            bench.folder,
            f"{title}-{bench.corpus.name}",
            requests(title, bench.corpus, bench.token),
        )
        for title in TITLES
    }


def _turn(running: Mapping[str, Running], seconds: float) -> dict[str, dict[str, Run]]:
    return {
        title: {
            store: server.load(files[title], seconds, CONNECTIONS)
            for store, (server, files) in running.items()
        }
        for title in TITLES
    }


def show_growth(found: dict[str, Any]) -> None:
    """Prints each median and how it compares."""
    for title, words in TITLES.items():
        print(f"{words} (target: below {TARGET})")
        for store, ratio in found["growth"][title].items():
            taken = median(one[title][store]["p50_ms"] for one in found["rounds"])
            failed = sum(sum(one[title][store]["failed"].values()) for one in found["rounds"])
            print(
                f"  {store:>32} {taken:8.2f} ms p50{ratio:7.2f}"
                + (f"  {failed} FAILED" if failed else "")
            )
