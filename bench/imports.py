"""How fast records come in: transactions of 100 over HTTP, and COPY of the same rows beside it.

Server and COPY take turns on one database, whose indexes are all there. A worker is a server
process of its own; clients spread over them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from random import Random
from statistics import median
from typing import Any

import psycopg

from bench.corpus import TENANT, WORDS, Corpus, Resource, clinician, patient
from bench.load import Rows, copy_all
from bench.process import Server, kept
from bench.scenario import http, new_id
from bench.setting import DAY, Bench, served
from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.loader import load_definitions
from fhir_server.http.auth import mint

PER_BUNDLE = 100
BUNDLES = 80
CLIENTS = 8
TARGET = 3000
FHIR_JSON = "application/fhir+json"
Found = dict[str, Any]


def imports(bench: Bench, workers: Sequence[int] = (1, 2)) -> list[Found]:
    """Resources a second by number of workers, with the ratio to COPY in the same round."""
    return [_measured(bench, number) for number in workers]


def show_imports(found: Sequence[Found]) -> None:
    """Prints the table."""
    print(f"{'transactions of 100':24}{'resources/s':>12}{'target':>8}{'COPY/s':>9}{'ratio':>7}")
    for one in found:
        label = f"{one['workers']} worker{'s' if one['workers'] > 1 else ''}"
        failed = f"  {one['failed']} FAILED" if one["failed"] else ""
        print(
            f"{label:24}{one['per_second']:12.0f}{TARGET:8}{one['copy_per_second']:9.0f}"
            f"{one['ratio']:7.2f}{failed}"
        )


def _measured(bench: Bench, workers: int) -> Found:
    wanted = kept(bench.folder, "requests", list(_requests(bench)))
    rows = Rows(load_definitions(declared_root(), load_facts()))
    rounds: list[Found] = []
    with ExitStack() as running:
        servers = [running.enter_context(served(bench)) for _ in range(workers)]
        for turn in range(-1, bench.asked.rounds):
            runs = _load(bench, servers, wanted)
            rounds.append(
                {
                    "per_second": sum(run["per_second"] for run in runs) * PER_BUNDLE,
                    "failed": sum(sum(run["failed"].values()) for run in runs),
                    "copy_per_second": _copied(bench, rows, turn),
                }
            )
    told = rounds[1:]
    return {
        "workers": workers,
        "per_second": median(turn["per_second"] for turn in told),
        "copy_per_second": median(turn["copy_per_second"] for turn in told),
        "ratio": median(turn["per_second"] / turn["copy_per_second"] for turn in told),
        "failed": sum(turn["failed"] for turn in told),
        "rounds": told,
    }


def _load(bench: Bench, servers: Sequence[Server], wanted: Any) -> list[Found]:
    each = CLIENTS // len(servers)
    with ThreadPoolExecutor(len(servers)) as threads:
        return list(threads.map(lambda s: s.load(wanted, bench.asked.seconds, each), servers))


def _copied(bench: Bench, rows: Rows, turn: int) -> float:
    """Rows made beforehand; a commit for each hundred, as the server has."""
    random = Random(turn)
    batches = [[_stored(bench.corpus, random) for _ in range(PER_BUNDLE)] for _ in range(BUNDLES)]
    made = [[rows.of(resource) for resource in batch] for batch in batches]
    with psycopg.connect(bench.settings.database_url or "", autocommit=True) as connection:
        began = time.perf_counter()
        for batch in made:
            copy_all(connection, rows, "Communication", batch)
        return PER_BUNDLE * BUNDLES / (time.perf_counter() - began)


def _requests(bench: Bench) -> Iterator[bytes]:
    token = mint(
        bench.settings,
        tenant=TENANT,
        sub="usr_importer",
        roles=["SERVICE"],
        scope="system/*.cruds",
        modules=(),
        ttl=DAY,
    )
    random = Random("imports")
    for _ in range(BUNDLES):
        entries = [_entry(_record(bench.corpus, random), n) for n in range(PER_BUNDLE)]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        headers = {"content_type": FHIR_JSON, "prefer": "return=minimal"}
        yield http("POST", "/fhir/R4", token, bundle, **headers)


def _entry(resource: Resource, n: int) -> Resource:
    full_url = f"urn:uuid:{n:08x}-0000-4000-8000-000000000000"
    return {
        "fullUrl": full_url,
        "resource": resource,
        "request": {"method": "POST", "url": "Communication"},
    }


def _record(corpus: Corpus, random: Random) -> Resource:
    subject = patient(random.randrange(corpus.patients))
    return {
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"reference": f"Patient/{subject}"},
        "sent": "2026-01-01T00:00:00.000Z",
        "sender": {"reference": f"Practitioner/{clinician(random.randrange(100))}"},
        "payload": [{"contentString": WORDS}],
    }


def _stored(corpus: Corpus, random: Random) -> Resource:
    meta = {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00.000Z"}
    return {**_record(corpus, random), "id": new_id(), "meta": meta}
