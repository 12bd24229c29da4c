"""What `$mark-read` costs for one message and for all of a thread, through the v1 face.

Both take the same number of statements (tests/v1/test_round_trips.py), so most of what one costs is
paid once. Every request writes: without a time of its own, the latest reading wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from statistics import median
from typing import Any

from bench.corpus import PER_THREAD
from bench.process import kept
from bench.scenario import SEQUENCE, V1, http
from bench.setting import Bench, served

COUNTS = (1, PER_THREAD - 1)
THREADS = 100
CONNECTIONS = 1


def marking(bench: Bench) -> dict[str, Any]:
    """Loads one server with each in turn."""
    asked = bench.asked
    files = {
        count: kept(bench.folder, f"mark-{count}", list(_requests(bench, count)))
        for count in COUNTS
    }
    with served(bench) as server:
        rounds = [
            {str(n): server.load(file, asked.seconds, CONNECTIONS) for n, file in files.items()}
            for _ in range(asked.rounds + 1)
        ]
    how = {**asdict(asked), "connections": CONNECTIONS}
    return {"asked": how, "size": bench.corpus.size, "rounds": rounds[1:]}


def show_marking(found: dict[str, Any]) -> None:
    """Prints the medians."""
    for count in COUNTS:
        runs = [one[str(count)] for one in found["rounds"]]
        failed = sum(sum(run["failed"].values()) for run in runs)
        print(
            f"v1: mark {count:2} as read{median(run['p50_ms'] for run in runs):8.2f} ms p50"
            f"{median(run['cpu_us'] for run in runs):8.0f} µs CPU"
            + (f"  {failed} FAILED" if failed else "")
        )


def _requests(bench: Bench, count: int) -> Iterator[bytes]:
    corpus = bench.corpus
    mine = [t for t in range(corpus.threads) if corpus.is_in(corpus.caller, t)]
    headers = {"content_type": "application/json", "idempotency_key": SEQUENCE.decode()}
    for t in mine[:THREADS]:
        messages = [corpus.id(t + turn * corpus.threads) for turn in range(1, count + 1)]
        body = {"messageIds": [f"msg_{id}" for id in messages]}
        path = f"{V1}/thr_{corpus.id(t)}/read"
        yield http("POST", path, bench.token, body, **headers)
