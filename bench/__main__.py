"""Measures the server against a bare floor: `make bench`, or `python -m bench --help`.

Both run at the same time on one database and are loaded in turn, a few seconds each, round after
round. What counts is the ratio within a round: the machine's mood of the minute cancels out.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from functools import partial
from pathlib import Path

from bench.growth import growth, show_growth
from bench.measure import measure
from bench.record import record
from bench.report import keep, save, show
from bench.scenario import SCENARIOS
from bench.setting import DATA, Asked, Bench, prepare, served
from fhir_server.database import connected
from fhir_server.settings import Settings


def main() -> None:
    """Runs what the command line asks for."""
    given = _arguments()
    asked = Asked(given.seconds, given.rounds, given.connections, given.keep)
    DATA.mkdir(parents=True, exist_ok=True)
    with connected(Settings(data_dir=DATA)) as settings, tempfile.TemporaryDirectory() as folder:
        filled = partial(prepare, settings, asked, Path(folder))
        if given.growth:
            found = growth(filled)
            show_growth(found)
            keep("growth", found)
        else:
            compare(filled(given.size), given.only)


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("--size", type=int, default=200_000, help="Communications (200000)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each run (1.5)")
    parser.add_argument("--rounds", type=int, default=9, help="of both in turn (9)")
    parser.add_argument("--connections", type=int, default=16, help="keep-alive (16)")
    parser.add_argument("--only", nargs="*", choices=[s.name for s in SCENARIOS])
    parser.add_argument("--keep", action="store_true", help="use the last run's database again")
    parser.add_argument("--growth", action="store_true", help="search at 20,000 and 1,000,000")
    return parser.parse_args()


if __name__ == "__main__":
    main()
