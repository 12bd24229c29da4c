"""A page of a search as a searchset Bundle, joined from the stored texts.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from fhir_server.fhir.bundle import Entry, searchset
from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.replies import CONTENT
from fhir_server.http.wire import Reply
from fhir_server.interactions import Around, Page, Stored


def searchset_reply(call: Call, page: Page, compartment: str | None = None) -> Reply:
    """The Bundle; its self link names the parameters that were used."""
    base = call.base
    address = "/".join(part for part in (base, compartment, call.type) if part)
    query = urlencode(page.used, safe=":/|,$", quote_via=quote)
    first = f"{address}?{query}" if query else address
    links = page_links(first, f"{first}{'&' if query else '?'}_cursor=", page.cursor, page.around)
    entries = [
        *(Entry(_url(base, stored), stored.body) for stored in page.matches),
        *(Entry(_url(base, stored), stored.body, "include") for stored in page.includes),
    ]
    return Reply(200, searchset(entries, page.total, links), CONTENT)


def page_links(first: str, at: str, cursor: str, around: Around) -> list[tuple[str, str]]:
    """self, next, previous, first and last where they exist; `first` is the address without a
    cursor, `at` the same up to one."""
    pages = (
        ("self", cursor),
        ("next", around.next),
        ("previous", around.previous),
        ("first", ""),
        ("last", around.last),
    )
    return [
        (relation, at + place if place else first) for relation, place in pages if place is not None
    ]


def _url(base: str, stored: Stored) -> str:
    return f"{base}/{stored.type}/{stored.id}"
