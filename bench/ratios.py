"""What searches cost that follow references, against the plain search of a patient.

One server on 1,000,000 Communications answers both in turn, round after round, to one connection
that asks. 2,000 clinicians have 0 to 500 unread messages each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

from bench.process import kept
from bench.setting import Bench, served
from bench.workload import requests

SIZE = 1_000_000
PLAIN = "search"
# The most that each may cost, as a multiple of the plain search's median time.
TARGETS: Mapping[str, float | None] = {
    "include": 2,
    "include-any": 2,
    "revinclude": 2,
    "unread": 3,
    "unread-threads": None,
}
CONNECTIONS = 1
WARM = 3


def ratios(bench: Bench) -> dict[str, Any]:
    """Loads one server with each in turn; a ratio is the median of the rounds' p50 ratios."""
    asked = bench.asked
    names = [PLAIN, *TARGETS]
    files = {
        name: kept(bench.folder, name, requests(name, bench.corpus, bench.token)) for name in names
    }
    with served(bench) as server:

        def turn(seconds: float) -> dict[str, dict[str, Any]]:
            return {name: server.load(files[name], seconds, CONNECTIONS) for name in names}

        turn(asked.seconds * WARM)
        rounds = [turn(asked.seconds) for _ in range(asked.rounds)]
    found = {
        name: median(one[name]["p50_ms"] / one[PLAIN]["p50_ms"] for one in rounds)
        for name in TARGETS
    }
    how = {**asdict(asked), "connections": CONNECTIONS}
    return {"asked": how, "size": bench.corpus.size, "ratios": found, "rounds": rounds}


def show_ratios(found: dict[str, Any]) -> None:
    """Prints each median and its ratio."""
    for name in (PLAIN, *TARGETS):
        taken = median(one[name]["p50_ms"] for one in found["rounds"])
        ratio, target = found["ratios"].get(name, 1), TARGETS.get(name)
        failed = sum(sum(one[name]["failed"].values()) for one in found["rounds"])
        print(
            f"{name:16}{taken:8.2f} ms p50{ratio:7.2f} × the plain search"
            + (f" (target: {target})" if target else "")
            + (f"  {failed} FAILED" if failed else "")
        )
