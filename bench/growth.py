"""How the patient search's median time grows with the store: 20,000 against 1,000,000.

Every patient has as many Communications in one as in the other, so the answers are of one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any, Protocol

from bench.process import Server, kept
from bench.scenario import SCENARIOS
from bench.setting import Bench, served
from bench.workload import requests

SIZES = (20_000, 1_000_000)
TARGET = 1.3
WARM = 5.0


class Prepare(Protocol):
    """Makes a bench with so many Communications."""

    def __call__(self, size: int) -> Bench: ...


def growth(prepare: Prepare, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Loads a server on each size in turn; `growth` is the median of the rounds' p50 ratios."""
    name = next(s.name for s in SCENARIOS if s.name == "search")
    benches = [prepare(size) for size in sizes]
    with ExitStack() as stack:
        servers = [stack.enter_context(served(bench)) for bench in benches]
        files = [
            kept(bench.folder, f"{name}-{size}", requests(name, bench.corpus, bench.token))
            for bench, size in zip(benches, sizes, strict=True)
        ]
        pairs = list(zip(servers, files, strict=True))
        for server, file in pairs:
            server.load(file, min(WARM, benches[0].asked.seconds * 2), benches[0].asked.connections)
        rounds = [
            [_run(benches[0], *pair) for pair in pairs] for _ in range(benches[0].asked.rounds)
        ]
    ratios = [turn[-1]["p50_ms"] / turn[0]["p50_ms"] for turn in rounds]
    return {"sizes": list(sizes), "growth": median(ratios), "rounds": rounds}


def _run(bench: Bench, server: Server, file: Any) -> dict[str, Any]:
    return server.load(file, bench.asked.seconds, bench.asked.connections)


def show_growth(found: dict[str, Any]) -> None:
    """Prints the two medians."""
    small, large = (median(turn[n]["p50_ms"] for turn in found["rounds"]) for n in (0, -1))
    few, many = found["sizes"]
    print(
        f"p50 of the patient search: {small:.2f} ms at {few:,}, {large:.2f} ms at {many:,};"
        f" growth {found['growth']:.2f} (target: below {TARGET})"
    )
