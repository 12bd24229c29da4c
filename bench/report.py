"""What was measured, for reading and for keeping."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench.scenario import Scenario
from bench.setting import Bench

RESULTS = Path(__file__).parent / "results"
MEMORY_LIMIT = 200
Run = dict[str, Any]
Round = dict[str, Run]


@dataclass(frozen=True, slots=True)
class Measured:
    """The rounds of one scenario, and the same SQL under pgbench (requests a second)."""

    scenario: Scenario
    rounds: Sequence[Round]
    pgbench: float | None

    def of(self, which: str, figure: str) -> float:
        """The median over the rounds."""
        return self._median(lambda turn: turn[which][figure])

    def ratio(self) -> float:
        """The median of the rounds' ratios of requests a second."""
        return self._median(lambda t: t["server"]["per_second"] / t["floor"]["per_second"])

    def cpu_ratio(self) -> float:
        """The same of the processor time a request costs, floor to server."""
        return self._median(lambda t: t["floor"]["cpu_us"] / t["server"]["cpu_us"])

    def _median(self, figure: Callable[[Round], float]) -> float:
        return float(median(map(figure, self.rounds)))

    def failed(self) -> int:
        """Answers that were no success."""
        return sum(sum(run["failed"].values()) for turn in self.rounds for run in turn.values())


def show(found: Sequence[Measured], resident: float) -> None:
    """Prints the table."""
    print(
        f"{'':24}{'req/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'CPU µs':>8}"
        f"{'floor/s':>9}{'CPU µs':>8}{'pgbench':>9}{'ratio':>7}{'target':>7}{'by CPU':>7}"
    )
    for one in found:
        print(_line(one))
    print(f"resident memory of the worker: {resident:.0f} MiB (target: below {MEMORY_LIMIT})")


def _line(one: Measured) -> str:
    target = f"{one.scenario.target:.2f}" if one.scenario.target else "-"
    failed = f"  {one.failed()} FAILED" if one.failed() else ""
    return (
        f"{one.scenario.title:24}{one.of('server', 'per_second'):8.0f}"
        f"{one.of('server', 'p50_ms'):8.2f}{one.of('server', 'p99_ms'):8.2f}"
        f"{one.of('server', 'cpu_us'):8.0f}{one.of('floor', 'per_second'):9.0f}"
        f"{one.of('floor', 'cpu_us'):8.0f}{one.pgbench or 0:9.0f}{one.ratio():7.2f}{target:>7}"
        f"{one.cpu_ratio():7.2f}{failed}"
    )


def save(bench: Bench, found: Sequence[Measured], resident: float) -> None:
    """Keeps the raw rounds."""
    scenarios = {
        one.scenario.name: {
            "ratio": one.ratio(),
            "cpu_ratio": one.cpu_ratio(),
            "pgbench_per_second": one.pgbench,
            "rounds": one.rounds,
        }
        for one in found
    }
    raw = {"size": bench.corpus.size, "resident_mib": resident, "scenarios": scenarios}
    keep("floor", {"asked": asdict(bench.asked), **raw})


def keep(name: str, raw: dict[str, Any]) -> None:
    """Writes a raw run, with its time and machine."""
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{now:%Y%m%dT%H%M%SZ}-{name}.json"
    whole = {"at": now.isoformat(timespec="seconds"), "machine": machine(), **raw}
    file.write_text(json.dumps(whole, indent=1) + "\n")
    print(f"raw: {file}")


def machine() -> dict[str, Any]:
    """Where it ran."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "load": psutil.getloadavg(),
    }
