"""What the audit trail costs: the server with it and without it, in turn, on one database.

Requests a second tell what a client sees, and suffer from whatever else the machine does. The
processor time that a request costs the server and its own database connections hardly does.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg

from bench.process import Server, kept, running
from bench.setting import Bench, environment
from bench.workload import requests

WITHOUT = "without"
SERVERS = {
    "batched": (["fhir_server", "serve"], {}),
    "strict": (["fhir_server", "serve"], {"FHIR_SERVER_AUDIT": "strict"}),
    WITHOUT: (["bench.unaudited"], {}),
}
ASKED = ("read", "search", "create", "send")
Run = dict[str, Any]


def audit(bench: Bench) -> dict[str, Any]:
    """Rounds of all of them, in another order each time; one round to get warm."""
    url = bench.settings.database_url or ""
    with ExitStack() as stack:
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        servers = {
            name: stack.enter_context(
                running(command, environment(bench) | more | {"PGAPPNAME": name})
            )
            for name, (command, more) in SERVERS.items()
        }
        found = {name: _rounds(bench, connection, servers, name) for name in ASKED}
        stored = _stored(connection)
    return {"asked": asdict(bench.asked), "size": bench.corpus.size, "scenarios": found} | stored


def _rounds(
    bench: Bench, connection: psycopg.Connection[Any], servers: dict[str, Server], scenario: str
) -> list[dict[str, Run]]:
    wanted = kept(bench.folder, scenario, requests(scenario, bench.corpus, bench.token))
    rounds = []
    for turn in range(bench.asked.rounds + 1):
        first = turn % len(servers)
        order = [*list(servers)[first:], *list(servers)[:first]]
        rounds.append(
            {name: _run(bench, connection, name, servers[name], wanted) for name in order}
        )
    return rounds[1:]


def _run(
    bench: Bench, connection: psycopg.Connection[Any], name: str, server: Server, wanted: Path
) -> Run:
    before = _database_cpu(connection, name)
    run = server.load(wanted, bench.asked.seconds, bench.asked.connections)
    after = _database_cpu(connection, name)
    spent = sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())
    return run | {"database_us": spent / run["requests"] * 1e6}


def _database_cpu(connection: psycopg.Connection[Any], name: str) -> dict[int, float]:
    """Seconds that each connection of that server has used in the database."""
    found = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s", [name]
    ).fetchall()
    times = {pid: psutil.Process(pid).cpu_times() for (pid,) in found}
    return {pid: float(spent.user + spent.system) for pid, spent in times.items()}


def _stored(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    row = connection.execute(
        "SELECT count(*), pg_total_relation_size('auditevent'),"
        " (SELECT count(*) FROM audit_link) FROM auditevent"
    ).fetchone()
    events, size, links = row or (0, 0, 0)
    return {"events": events, "bytes_an_event": size / max(events, 1), "links": links}


def show_audit(found: dict[str, Any]) -> None:
    """Prints medians, and the medians of each round's ratios to the server without a trail."""
    for scenario, rounds in found["scenarios"].items():
        words = [_words(name, rounds) for name in SERVERS]
        failed = sum(sum(run["failed"].values()) for one in rounds for run in one.values())
        print(f"{scenario:7}" + "  ".join(words) + (f"  {failed} FAILED" if failed else ""))
    print(f"{found['events']:,} events, {found['bytes_an_event']:.0f} bytes each with all indexes")


def _words(name: str, rounds: list[dict[str, Run]]) -> str:
    per_second = median(one[name]["per_second"] for one in rounds)
    ratio = median(one[name]["per_second"] / one[WITHOUT]["per_second"] for one in rounds)
    cpu = median(_cpu(one[name]) for one in rounds)
    by_cpu = median(_cpu(one[WITHOUT]) / _cpu(one[name]) for one in rounds)
    return f"{name} {per_second:5.0f}/s {ratio:4.2f} {cpu:5.0f} µs {by_cpu:4.2f}"


def _cpu(run: Run) -> float:
    return float(run["cpu_us"] + run["database_us"])
