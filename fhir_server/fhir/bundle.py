"""Bundles joined from stored texts, which are never parsed again.

Joining 25 entries costs a few microseconds; building, checking and writing them as objects
costs hundreds to thousands.
https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import orjson

Mode = Literal["match", "include", "outcome"]
Link = tuple[str, str]
_MODES = {
    mode: b',"search":{"mode":"' + mode.encode() + b'"}}'
    for mode in ("match", "include", "outcome")
}


class Entry(NamedTuple):
    """One resource of a searchset: `body` is its JSON text."""

    full_url: str
    body: bytes
    mode: Mode = "match"


class Version(NamedTuple):
    """One version in a history: `body` is its JSON text, None for a deletion.

    `method` and `url` are those of the request that made it, `status` the answer's ("201"),
    `modified` an instant.
    """

    full_url: str
    body: bytes | None
    method: str
    url: str
    status: str
    etag: str
    modified: str


class Answer(NamedTuple):
    """One entry of a batch-response or transaction-response; `outcome` an OperationOutcome."""

    status: str
    location: str | None = None
    etag: str | None = None
    modified: str | None = None
    body: bytes | None = None
    outcome: bytes | None = None
    full_url: str | None = None


def searchset(entries: Sequence[Entry], total: int | None, links: Iterable[Link]) -> bytes:
    """The searchset Bundle of `entries`; `links` are (relation, url)."""
    return _bundle("searchset", total, links, [_match(*entry) for entry in entries])


def history(entries: Sequence[Version], total: int | None, links: Iterable[Link]) -> bytes:
    """The history Bundle of `entries`, newest first."""
    return _bundle("history", total, links, [_version(entry) for entry in entries])


def responses(kind: Literal["batch", "transaction"], answers: Sequence[Answer]) -> bytes:
    """The Bundle that answers a batch or a transaction, in the order of its request."""
    return _bundle(f"{kind}-response", None, (), [_answer(answer) for answer in answers])


def _bundle(type_: str, total: int | None, links: Iterable[Link], entries: list[bytes]) -> bytes:
    head: dict[str, Any] = {"resourceType": "Bundle", "type": type_}
    if total is not None:
        head["total"] = total
    link = [{"relation": relation, "url": url} for relation, url in links]
    if link:
        head["link"] = link
    if not entries:
        return orjson.dumps(head)
    return orjson.dumps(head)[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def _match(full_url: str, body: bytes, mode: Mode) -> bytes:
    return b'{"fullUrl":' + orjson.dumps(full_url) + b',"resource":' + body + _MODES[mode]


def _version(entry: Version) -> bytes:
    request = {"method": entry.method, "url": entry.url}
    response = {"status": entry.status, "etag": entry.etag, "lastModified": entry.modified}
    return _entry(entry.full_url, entry.body, request=request, response=response)


def _answer(answer: Answer) -> bytes:
    told: dict[str, Any] = {
        "status": answer.status,
        "location": answer.location,
        "etag": answer.etag,
        "lastModified": answer.modified,
        "outcome": answer.outcome and orjson.Fragment(answer.outcome),
    }
    response = {key: value for key, value in told.items() if value is not None}
    return _entry(answer.full_url, answer.body, response=response)


def _entry(full_url: str | None, body: bytes | None, **rest: dict[str, Any]) -> bytes:
    entry: dict[str, Any] = {}
    if full_url is not None:
        entry["fullUrl"] = full_url
    if body is not None:
        entry["resource"] = orjson.Fragment(body)
    return orjson.dumps(entry | rest)
