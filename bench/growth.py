"""How the patient search's median time grows with the store: 20,000 against 1,000,000.

Every patient has as many Communications in one as in the other, so the answers are of one size.
One connection asks, so that a time is that of one search and not of waiting for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from bench.process import Server, kept
from bench.setting import Bench, served
from bench.workload import requests

SIZES = (20_000, 1_000_000)
TARGET = 1.3
CONNECTIONS = 1
WARM = 3


class Prepare(Protocol):
    """Makes a bench with so many Communications."""

    def __call__(self, size: int) -> Bench: ...


def growth(prepare: Prepare, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Loads a server on each size in turn; `growth` is the median of the rounds' p50 ratios."""
    benches = [prepare(size) for size in sizes]
    asked = benches[0].asked
    with ExitStack() as stack:
        running = [(stack.enter_context(served(bench)), _searches(bench)) for bench in benches]
        for server, file in running:
            _run(server, file, asked.seconds * WARM)
        rounds = [
            [_run(server, file, asked.seconds) for server, file in running]
            for _ in range(asked.rounds)
        ]
    ratios = [turn[-1]["p50_ms"] / turn[0]["p50_ms"] for turn in rounds]
    return {
        "asked": {**asdict(asked), "connections": CONNECTIONS},
        "sizes": list(sizes),
        "growth": median(ratios),
        "rounds": rounds,
    }


def _searches(bench: Bench) -> Path:
    found = requests("search", bench.corpus, bench.token)
    return kept(bench.folder, f"search-{bench.corpus.size}", found)


def _run(server: Server, searches: Path, seconds: float) -> dict[str, Any]:
    return server.load(searches, seconds, CONNECTIONS)


def show_growth(found: dict[str, Any]) -> None:
    """Prints the two medians."""
    small, large = (median(turn[n]["p50_ms"] for turn in found["rounds"]) for n in (0, -1))
    few, many = found["sizes"]
    print(
        f"p50 of the patient search: {small:.2f} ms at {few:,}, {large:.2f} ms at {many:,};"
        f" growth {found['growth']:.2f} (target: below {TARGET})"
    )
