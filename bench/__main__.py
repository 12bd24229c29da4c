"""Measures the server against a bare floor: `make bench`, or `python -m bench --help`.

Both run at the same time on one database and are loaded in turn, a few seconds each, round after
round. What counts is the ratio within a round: the machine's mood of the minute cancels out.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.audit import audit, show_audit
from bench.growth import growth, show_growth
from bench.imports import imports, show_imports
from bench.marking import marking, show_marking
from bench.measure import measure
from bench.ratios import SIZE, ratios, show_ratios
from bench.record import record
from bench.report import keep, save, show
from bench.scenario import SCENARIOS
from bench.setting import DATA, Asked, Bench, prepare, served
from fhir_server.database import connected
from fhir_server.settings import Settings

USUAL = 200_000
PARTS = ("only", "audit", "marking", "imports", "growth", "ratios")


def main() -> None:
    """Runs what the command line asks for."""
    given = _arguments()
    asked = Asked(given.seconds, given.rounds, given.connections, given.keep)
    DATA.mkdir(parents=True, exist_ok=True)
    with connected(Settings(data_dir=DATA)) as settings, tempfile.TemporaryDirectory() as folder:
        filled = partial(prepare, settings, asked, Path(folder))
        parts = [part for part in PARTS if getattr(given, part)] or list(PARTS)
        usual = (
            filled(given.size or USUAL)
            if {"only", "audit", "marking", "imports"} & {*parts}
            else None
        )
        if usual and "only" in parts:
            compare(usual, given.only)
        if usual and "audit" in parts:
            _told("audit", audit(usual), show_audit)
        if usual and "marking" in parts:
            _told("marking", marking(usual), show_marking)
        if usual and "imports" in parts:
            transactions(usual)
        if "growth" in parts:
            _told("growth", growth(filled), show_growth)
        if "ratios" in parts:
            # Nothing is written there: what has just been loaded serves again.
            again = partial(prepare, settings, replace(asked, keep=True), Path(folder))
            kept = again if "growth" in parts else filled
            _told("ratios", ratios(kept(given.size or SIZE, read=True)), show_ratios)


def _told(name: str, found: dict[str, Any], show: Callable[[dict[str, Any]], None]) -> None:
    show(found)
    keep(name, found)


def compare(bench: Bench, only: list[str] | None = None) -> None:
    """Every scenario, or those of `only`, against the floor."""
    chosen = [scenario for scenario in SCENARIOS if not only or scenario.name in only]
    recordings = asyncio.run(record(bench.settings, chosen, bench.corpus, bench.token))
    with served(bench) as server:
        found = [
            measure(bench, server, scenario, recordings[scenario.name])
            for scenario in chosen
            if scenario.name in recordings
        ]
        resident = server.resident()
    show(found, resident)
    save(bench, found, resident)


def transactions(bench: Bench) -> None:
    """Bundles of records, with COPY beside."""
    found = imports(bench)
    show_imports(found)
    keep("imports", {"size": bench.corpus.size, "imports": found})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("--size", type=int, help="Communications (200000)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each run (1.5)")
    parser.add_argument("--rounds", type=int, default=9, help="of both in turn (9)")
    parser.add_argument("--connections", type=int, default=16, help="keep-alive (16)")
    parser.add_argument("--only", nargs="*", choices=[s.name for s in SCENARIOS])
    parser.add_argument("--keep", action="store_true", help="use the last run's database again")
    parser.add_argument("--growth", action="store_true", help="1,000 to 1,000,000, a long thread")
    parser.add_argument("--marking", action="store_true", help="one and many messages as read")
    parser.add_argument("--audit", action="store_true", help="with the audit trail and without")
    parser.add_argument("--imports", action="store_true", help="transactions of 100, and COPY")
    parser.add_argument("--ratios", action="store_true", help="includes and _has, at 1,000,000")
    return parser.parse_args()


if __name__ == "__main__":
    main()
