"""The requests of each scenario, drawn from the corpus with a fixed seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from bench.corpus import WORDS, Corpus, clinician, patient
from bench.scenario import FHIR, SEQUENCE, V1, http

MOST = 4_000
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
    draw = Draw(corpus, corpus.threads_of(corpus.caller), token, Random(name))
    return [MAKES[name](draw) for _ in range(min(MOST, corpus.size))]


def _read(draw: Draw) -> bytes:
    id = draw.corpus.id(draw.random.randrange(draw.corpus.size))
    return http("GET", f"{FHIR}/{id}", draw.token)


def _search(draw: Draw) -> bytes:
    return http("GET", f"{FHIR}?subject={_patient(draw)}&_sort=-sent&_count=25", draw.token)


def _include(draw: Draw) -> bytes:
    """25 messages and their patient."""
    asked = f"subject={_patient(draw)}&_sort=-sent&_count=25&_include=Communication:subject"
    return http("GET", f"{FHIR}?{asked}", draw.token)


def _include_any(draw: Draw) -> bytes:
    """25 messages and their threads: the reference may lead to any type, and there may be more."""
    asked = f"subject={_patient(draw)}&_sort=-sent&_count=25&_include=Communication:part-of"
    return http("GET", f"{FHIR}?{asked}", draw.token)


def _revinclude(draw: Draw) -> bytes:
    """A thread and its messages: 25 entries."""
    thread = draw.corpus.id(draw.random.randrange(draw.corpus.threads))
    return http("GET", f"{FHIR}?_id={thread}&_revinclude=Communication:part-of", draw.token)


def _unread(draw: Draw) -> bytes:
    """The threads in which someone has unread messages."""
    who = f"Practitioner/{clinician(draw.random.randrange(draw.corpus.clinicians))}"
    return http("GET", f"{FHIR}?_has:Communication:part-of:unread-by={who}", draw.token)


def _unread_threads(draw: Draw) -> bytes:
    return http("GET", f"{V1}?unreadOnly=true", draw.token)


def _threads(draw: Draw) -> bytes:
    return http("GET", V1, draw.token)


def _inbox(draw: Draw) -> bytes:
    """As many as the caller has in the smallest store."""
    return http("GET", f"{V1}?limit=10", draw.token)


def _inbox_unread(draw: Draw) -> bytes:
    return http("GET", f"{V1}?limit=5&unreadOnly=true", draw.token)


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
    "include": _include,
    "include-any": _include_any,
    "revinclude": _revinclude,
    "unread": _unread,
    "unread-threads": _unread_threads,
    "threads": _threads,
    "inbox": _inbox,
    "inbox-unread": _inbox_unread,
    "create": _create,
    "message": _message,
    "send": _send,
}
