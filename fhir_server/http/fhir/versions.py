"""Versions as a history Bundle. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from fhir_server.fhir.bundle import Version, history
from fhir_server.fhir.instant import interval, now_text
from fhir_server.http.fhir.call import Call, number
from fhir_server.http.fhir.replies import CONTENT
from fhir_server.http.wire import Reply
from fhir_server.interactions import HistoryPage, Span, Stored, TimelinePage
from fhir_server.problems import Problem, invalid
from fhir_server.store.history import LAST
from fhir_server.store.values.dates import BEGINNING, END, clamped

DEFAULT, MOST = 20, 1000
TIMES: Final[tuple[str, ...]] = ("_since", "_at")
KNOWN = frozenset({"_count", "_format", *TIMES})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a history was asked for; `times` are the parameters that its links repeat."""

    count: int
    span: Span
    times: Mapping[str, str]
    before: int = LAST
    cursor: str = ""


def asked(call: Call) -> Asked:
    """The parameters; 400 for one that this history does not have, or a value that is none."""
    given = dict(call.request.query())
    unknown = set(given) - KNOWN - {_position(call)}
    if unknown:
        raise invalid(f"history has no parameter {min(unknown)[:64]}")
    count = number(given["_count"], "_count") if "_count" in given else DEFAULT
    # A plus sign that was not escaped arrives as a space.
    times = {name: given[name].replace(" ", "+") for name in TIMES if name in given}
    return Asked(
        max(1, min(count, MOST)),
        _span(times),
        times,
        number(given["_before"], "_before") if "_before" in given else LAST,
        given.get("_cursor", ""),
    )


def _position(call: Call) -> str:
    """A version of one resource is found by its number, that of many by a cursor."""
    return "_before" if call.id else "_cursor"


def _span(times: Mapping[str, str]) -> Span:
    since = _interval("_since", times["_since"])[0] if "_since" in times else BEGINNING
    return Span(since, *(_period(times["_at"]) if "_at" in times else (BEGINNING, END)))


def _period(text: str) -> tuple[datetime, datetime]:
    """`2026-01-31` is that day; `ge2026-01-31` that day and all later ones."""
    prefix, bare = (text[:2], text[2:]) if text[:1].isalpha() else ("eq", text)
    low, high = _interval("_at", bare)
    periods = {
        "eq": (low, high),
        "ge": (low, END),
        "gt": (high, END),
        "le": (BEGINNING, high),
        "lt": (BEGINNING, low),
    }
    if prefix not in periods:
        raise Problem(400, "value", "_at: the prefix is eq, ge, gt, le or lt", expression="_at")
    return periods[prefix]


def _interval(name: str, text: str) -> tuple[datetime, datetime]:
    try:
        low, high = interval(text)
    except ValueError:
        raise Problem(400, "value", f"{name} is no date or instant", expression=name) from None
    return clamped(low), clamped(high)


def history_reply(call: Call, page: HistoryPage, wanted: Asked) -> Reply:
    """The Bundle of one resource; `_before` is the version that the next page goes below."""
    address = f"{call.base}/{call.type}/{call.id}/_history"
    after = {} if page.next is None else {"_before": str(page.next)}
    entries = [_version(call.base, stored) for stored in page.versions]
    return Reply(200, history(entries, page.total, _links(address, wanted, after)), CONTENT)


def timeline_reply(call: Call, page: TimelinePage, wanted: Asked) -> Reply:
    """The Bundle of a type or of all; its total would cost more than the page."""
    address = "/".join(part for part in (call.base, call.type, "_history") if part)
    after = {} if page.next is None else {"_cursor": page.next}
    entries = [_version(call.base, stored) for stored in page.versions]
    return Reply(200, history(entries, None, _links(address, wanted, after)), CONTENT)


def _links(address: str, wanted: Asked, after: Mapping[str, str]) -> list[tuple[str, str]]:
    used = {"_count": str(wanted.count), **wanted.times}
    links = [("self", f"{address}?{_query(used)}")]
    return [*links, ("next", f"{address}?{_query({**used, **after})}")] if after else links


def _query(parameters: Mapping[str, str]) -> str:
    return urlencode(parameters, safe=":", quote_via=quote)


def _version(base: str, stored: Stored) -> Version:
    address = f"{base}/{stored.reference}"
    method, status = _request(stored)
    url = stored.type if method == "POST" else stored.reference
    etag, modified = f'W/"{stored.version}"', now_text(stored.updated)
    return Version(address, stored.body or None, method, url, status, etag, modified)


def _request(stored: Stored) -> tuple[str, str]:
    """Method and status of the request that made the version; what an older server wrote does not
    say them."""
    if not stored.body:
        return "DELETE", "204"
    if stored.made:
        method, _, status = stored.made.partition(" ")
        return method, status
    return ("POST", "201") if stored.version == 1 else ("PUT", "200")
