"""Server and floor in turn, on one database, with one load."""

from __future__ import annotations

from bench.database import FLOOR
from bench.pgbench import pgbench
from bench.process import Server, kept, running
from bench.recording import Recording
from bench.report import Measured, Round
from bench.scenario import Scenario
from bench.setting import Bench
from bench.workload import requests

WARM = 1.0


def measure(bench: Bench, server: Server, scenario: Scenario, recording: Recording) -> Measured:
    """Rounds of both, the first of which is another one each time; one round to get warm."""
    asked, url = bench.asked, bench.settings.database_url or ""
    wanted = kept(bench.folder, "requests", requests(scenario.name, bench.corpus, bench.token))
    known = kept(bench.folder, "recording", recording)
    rounds: list[Round] = []
    with running(["bench.floor", str(known), FLOOR], {"DATABASE_URL": url}) as floor:
        both = [("server", server), ("floor", floor)]
        for turn in range(-1, asked.rounds):
            seconds = asked.seconds if turn >= 0 else min(WARM, asked.seconds)
            order = both if turn % 2 else both[::-1]
            runs = {name: one.load(wanted, seconds, asked.connections) for name, one in order}
            rounds.append(runs)
    return Measured(scenario, rounds[1:], pgbench(url, recording, asked.seconds, bench.folder))
