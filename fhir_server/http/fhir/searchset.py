"""A page of a search as a searchset Bundle, joined from the stored texts.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from fhir_server.fhir.bundle import Entry, searchset
from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.replies import CONTENT
from fhir_server.http.wire import Reply
from fhir_server.interactions import Page, Stored


def searchset_reply(call: Call, page: Page, compartment: str | None = None) -> Reply:
    """The Bundle; its self link names the parameters that were used."""
    base = call.base
    address = f"{base}/{compartment}/{call.type}" if compartment else f"{base}/{call.type}"
    query = urlencode(page.used, safe=":/|,$", quote_via=quote)
    links = [("self", f"{address}?{query}" if query else address)]
    if page.next is not None:
        links.append(("next", f"{address}?{query}{'&' if query else ''}_cursor={page.next}"))
    entries = [
        *(Entry(_url(base, stored), stored.body) for stored in page.matches),
        *(Entry(_url(base, stored), stored.body, "include") for stored in page.includes),
    ]
    return Reply(200, searchset(entries, page.total, links), CONTENT)


def _url(base: str, stored: Stored) -> str:
    return f"{base}/{stored.type}/{stored.id}"
