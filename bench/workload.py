"""The requests of each scenario, drawn from the corpus with a fixed seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from bench.corpus import WORDS, Corpus, patient
from bench.scenario import FHIR, SEQUENCE, V1, http

MOST = 4_000
CALLER = 0
FHIR_JSON = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Draw:
    """What requests are drawn from; `threads` are those that the caller takes part in."""

    corpus: Corpus
    threads: Sequence[str]
    token: str
    random: Random


def requests(name: str, corpus: Corpus, token: str) -> list[bytes]:
    """Different ones, as many as the corpus gives, at most a few thousand."""
    draw = Draw(corpus, corpus.threads_of(CALLER), token, Random(name))
    return [MAKES[name](draw) for _ in range(min(MOST, corpus.size))]


def _read(draw: Draw) -> bytes:
    id = draw.corpus.id(draw.random.randrange(draw.corpus.size))
    return http("GET", f"{FHIR}/{id}", draw.token)


def _search(draw: Draw) -> bytes:
    return http("GET", f"{FHIR}?subject={_patient(draw)}&_sort=-sent&_count=25", draw.token)


def _threads(draw: Draw) -> bytes:
    return http("GET", V1, draw.token)


def _create(draw: Draw) -> bytes:
    body = {
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"reference": _patient(draw)},
        "sent": "2026-01-01T00:00:00.000Z",
        "payload": [{"contentString": WORDS}],
    }
    return http("POST", FHIR, draw.token, body, content_type=FHIR_JSON)


def _message(draw: Draw) -> bytes:
    body = {
        "resourceType": "Communication",
        "status": "in-progress",
        "partOf": [{"reference": f"Communication/{draw.random.choice(draw.threads)}"}],
        "payload": [{"contentString": WORDS}],
    }
    return http("POST", FHIR, draw.token, body, content_type=FHIR_JSON)


def _send(draw: Draw) -> bytes:
    path = f"{V1}/thr_{draw.random.choice(draw.threads)}/messages"
    headers = {"content_type": "application/json", "idempotency_key": SEQUENCE.decode()}
    return http("POST", path, draw.token, {"body": WORDS}, **headers)


def _patient(draw: Draw) -> str:
    return f"Patient/{patient(draw.random.randrange(draw.corpus.patients))}"


MAKES: Mapping[str, Callable[[Draw], bytes]] = {
    "read": _read,
    "search": _search,
    "threads": _threads,
    "create": _create,
    "message": _message,
    "send": _send,
}
