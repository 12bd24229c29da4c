"""What the audit trail costs: the server with it and without it, in turn, on one database."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from statistics import median
from typing import Any

import psycopg

from bench.process import kept, running
from bench.setting import Bench, environment
from bench.workload import requests

WITHOUT = "without"
SERVERS = {
    "batched": (["fhir_server", "serve"], {}),
    "strict": (["fhir_server", "serve"], {"FHIR_SERVER_AUDIT": "strict"}),
    WITHOUT: (["bench.unaudited"], {}),
}
ASKED = ("read", "search", "create", "send")


def audit(bench: Bench) -> dict[str, Any]:
    """Rounds of all three, in another order each time; one round to get warm."""
    asked = bench.asked
    found: dict[str, list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(running(command, environment(bench) | more))
            for name, (command, more) in SERVERS.items()
        }
        for scenario in ASKED:
            wanted = kept(bench.folder, scenario, requests(scenario, bench.corpus, bench.token))
            rounds = []
            for turn in range(asked.rounds + 1):
                first = turn % len(servers)
                order = [*list(servers)[first:], *list(servers)[:first]]
                rounds.append({
                    name: servers[name].load(wanted, asked.seconds, asked.connections)
                    for name in order
                })
            found[scenario] = rounds[1:]
    return {"asked": asdict(asked), "size": bench.corpus.size, "scenarios": found} | _stored(bench)


def _stored(bench: Bench) -> dict[str, Any]:
    with psycopg.connect(bench.settings.database_url or "") as connection:
        row = connection.execute(
            "SELECT count(*), pg_total_relation_size('auditevent'),"
            " (SELECT count(*) FROM audit_link) FROM auditevent"
        ).fetchone()
    events, size, links = row or (0, 0, 0)
    return {"events": events, "bytes_an_event": size / max(events, 1), "links": links}


def show_audit(found: dict[str, Any]) -> None:
    """Prints the medians of the ratios."""
    for scenario, rounds in found["scenarios"].items():
        words = []
        for name in SERVERS:
            per_second = median(one[name]["per_second"] for one in rounds)
            ratio = median(o[name]["per_second"] / o[WITHOUT]["per_second"] for o in rounds)
            words.append(f"{name} {per_second:6.0f}/s {ratio:5.2f}")
        failed = sum(sum(run["failed"].values()) for one in rounds for run in one.values())
        print(f"{scenario:8}" + "   ".join(words) + (f"  {failed} FAILED" if failed else ""))
    print(f"{found['events']:,} events, {found['bytes_an_event']:.0f} bytes each with all indexes")
