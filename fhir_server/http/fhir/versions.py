"""The history of a resource as a history Bundle. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from fhir_server.fhir.bundle import Version, history
from fhir_server.fhir.instant import now_text
from fhir_server.http.fhir.call import Call, number
from fhir_server.http.fhir.replies import CONTENT
from fhir_server.http.wire import Reply
from fhir_server.interactions import HistoryPage, Stored
from fhir_server.problems import invalid
from fhir_server.store.history import LAST

DEFAULT, MOST = 20, 1000


def asked(call: Call) -> tuple[int, int]:
    """How many versions, and below which one; 400 for a parameter that history does not have."""
    given = dict(call.request.query())
    unknown = set(given) - {"_count", "_before", "_format"}
    if unknown:
        raise invalid(f"history has no parameter {min(unknown)[:64]}")
    count = number(given["_count"], "_count") if "_count" in given else DEFAULT
    before = number(given["_before"], "_before") if "_before" in given else LAST
    return max(1, min(count, MOST)), before


def history_reply(call: Call, page: HistoryPage, count: int) -> Reply:
    """The Bundle; `_before` is the version that the next page goes below."""
    address = f"{call.base}/{call.type}/{call.id}"
    link = f"{address}/_history?_count={count}"
    links = [("self", link)]
    if page.next is not None:
        links.append(("next", f"{link}&_before={page.next}"))
    entries = [_version(address, stored) for stored in page.versions]
    return Reply(200, history(entries, page.total, links), CONTENT)


def _version(address: str, stored: Stored) -> Version:
    method, url, status = _request(stored)
    etag, modified = f'W/"{stored.version}"', now_text(stored.updated)
    return Version(address, stored.body or None, method, url, status, etag, modified)


def _request(stored: Stored) -> tuple[str, str, str]:
    if not stored.body:
        return "DELETE", stored.reference, "204"
    if stored.version == 1:
        return "POST", stored.type, "201"
    return "PUT", stored.reference, "200"
