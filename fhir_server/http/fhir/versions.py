"""Versions as a history Bundle. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from fhir_server.fhir.bundle import Version, history
from fhir_server.fhir.instant import interval, now_text
from fhir_server.http.fhir.call import Call, number
from fhir_server.http.fhir.replies import CONTENT
from fhir_server.http.fhir.representation import NAMES
from fhir_server.http.fhir.searchset import page_links
from fhir_server.http.wire import Reply
from fhir_server.interactions import Around, HistoryPage, Place, Span, Stored, TimelinePage
from fhir_server.problems import Problem, invalid
from fhir_server.store.search.paging import around
from fhir_server.store.values.dates import BEGINNING, END, clamped

DEFAULT, MOST = 20, 1000
TIMES: Final[tuple[str, ...]] = ("_since", "_at")
_BY_NUMBER: Final = ("_before", "_after")
KNOWN = frozenset({"_count", *NAMES, *TIMES})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a history was asked for; `repeated` are the parameters that its links repeat, `cursor`
    the text that named the place."""

    count: int
    span: Span
    repeated: Mapping[str, str]
    place: Place | None = None
    cursor: str = ""


def asked(call: Call) -> Asked:
    """The parameters; 400 for one that this history does not have, or a value that is none."""
    given = dict(call.request.query())
    places = _BY_NUMBER if call.id else ("_cursor",)
    unknown = set(given) - KNOWN - set(places)
    if unknown:
        raise invalid(f"history has no parameter {min(unknown)[:64]}")
    count = number(given["_count"], "_count") if "_count" in given else DEFAULT
    # A plus sign that was not escaped arrives as a space.
    times = {name: given[name].replace(" ", "+") for name in TIMES if name in given}
    repeated = {**times, **{name: value for name, value in given.items() if name in NAMES}}
    found = max(1, min(count, MOST)), _span(times), repeated
    if not call.id:
        return Asked(*found, cursor=given.get("_cursor", ""))
    return Asked(*found, *_by_number(given))


def _by_number(given: Mapping[str, str]) -> tuple[Place | None, str]:
    """The place in the history of one resource, where a version is found by its number."""
    named = [name for name in _BY_NUMBER if name in given]
    if len(named) > 1:
        raise invalid("a history has either _before or _after", "_after")
    if not named:
        return None, ""
    name = named[0]
    version = number(given[name], name)
    at = [version] if version else []
    return Place(at, before=name == "_after"), f"{name}={version}"


def _numbered(values: Sequence[int], *, before: bool = False) -> str:
    """A place as a parameter: pages run from the newest to the oldest, so what comes before a
    version on the pages was made after it."""
    return f"{'_after' if before else '_before'}={values[0] if values else 0}"


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
    """The Bundle of one resource."""
    address = f"{call.base}/{call.type}/{call.id}/_history"
    numbers = [[stored.version] for stored in page.versions]
    ends = (numbers[0], numbers[-1]) if numbers else None
    pages = around(_numbered, wanted.place, ends, more=page.more)
    entries = [_version(call.base, stored) for stored in page.versions]
    return Reply(200, history(entries, page.total, _links(address, wanted, pages)), CONTENT)


def timeline_reply(call: Call, page: TimelinePage, wanted: Asked) -> Reply:
    """The Bundle of a type or of all; its total would cost more than the page."""
    address = "/".join(part for part in (call.base, call.type, "_history") if part)
    entries = [_version(call.base, stored) for stored in page.versions]
    links = _links(address, wanted, page.around, "_cursor=")
    return Reply(200, history(entries, None, links), CONTENT)


def _links(address: str, wanted: Asked, pages: Around, at: str = "") -> list[tuple[str, str]]:
    first = f"{address}?{_query({'_count': str(wanted.count), **wanted.repeated})}"
    return page_links(first, f"{first}&{at}", wanted.cursor, pages)


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
