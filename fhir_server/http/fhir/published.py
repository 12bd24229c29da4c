"""What the server publishes of itself: declared definitions and what their codes mean.

It takes a token with a scope that reads the type, as any resource does; roles do not matter, since
there is nothing in it of any patient or tenant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from fhir_server.fhir.bundle import Entry, searchset
from fhir_server.fhir.json import dumps
from fhir_server.http.auth.scopes import require_whole
from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.replies import CONTENT, json_reply
from fhir_server.http.fhir.representation import NAMES
from fhir_server.http.fhir.searchset import page_links
from fhir_server.http.wire import Reply
from fhir_server.problems import Problem, not_found
from fhir_server.terminology import Arguments, Listing, Terminologies
from fhir_server.terminology.arguments import of_parameters, of_query
from fhir_server.terminology.service import OPERATIONS

Answer = Callable[["Published", Call], Awaitable[Reply]]
Check = Callable[[dict[str, Any]], None]


class Published:
    """Read, search and operations on the published types; `check` refuses a malformed body."""

    def __init__(self, terminologies: Terminologies, check: Check) -> None:
        self._terminologies = terminologies
        self._catalogue = terminologies.catalogue
        self._check = check
        self.types = self._catalogue.types

    def methods(self, shape: str) -> list[str]:
        """The methods of a path below a published type; none where it means nothing."""
        found = {method for method, row in _ROUTES if row == shape}
        return sorted(found | ({"HEAD"} if "GET" in found else set()))

    async def answer(self, shape: str, call: Call) -> Reply:
        """404 for a path that means nothing, 405 for a method that is not for it."""
        rows = {method: answer for (method, row), answer in _ROUTES.items() if row == shape}
        if not rows:
            raise not_found("what the path names")
        found = rows.get("GET" if call.request.method == "HEAD" else call.request.method)
        if found is None:
            raise not_allowed(call.request.method, rows)
        return await found(self, call)

    async def read(self, call: Call) -> Reply:
        """https://hl7.org/fhir/R4/http.html#read"""
        criteria = call.criteria("read")
        call.check_accept()
        return json_reply(dict(self._catalogue.read(call.type, call.address(), criteria)))

    async def search(self, call: Call) -> Reply:
        """https://hl7.org/fhir/R4/http.html#search"""
        criteria = call.criteria("search-type")
        given = await call.parameters()
        call.check_accept(counts=True)
        listing = self._catalogue.search(call.type, given, criteria, lenient=_lenient(call))
        return _searchset(call, listing)

    async def operation(self, call: Call) -> Reply:
        """https://hl7.org/fhir/R4/operations.html"""
        operation = OPERATIONS.get((call.type, call.tail))
        if call.tail not in self.types[call.type].operations or operation is None:
            raise Problem(404, "not-supported", f"{call.type} has no operation ${call.tail[:64]}")
        if call.id and not operation.instance:
            raise Problem(404, "not-supported", f"${call.tail} is not asked of one resource")
        require_whole(call.ctx, [call.type], "read")
        call.check_accept()
        declared = self._catalogue.read(call.type, call.address()) if call.id else None
        arguments = await self._arguments(call)
        lenient = _lenient(call)
        return json_reply(
            await self._terminologies.run(
                call.type, call.tail, declared, arguments, lenient=lenient
            )
        )

    async def _arguments(self, call: Call) -> Arguments:
        if call.request.method != "POST":
            return of_query([pair for pair in call.request.query() if pair[0] not in NAMES])
        body = await call.resource()
        self._check(body)
        return of_parameters(body)


_ROUTES: Mapping[tuple[str, str], Answer] = {
    ("GET", ""): Published.search,
    ("POST", "_search"): Published.search,
    ("GET", "id"): Published.read,
    ("GET", "$"): Published.operation,
    ("POST", "$"): Published.operation,
    ("GET", "id/$"): Published.operation,
    ("POST", "id/$"): Published.operation,
}


def not_allowed(method: str, known: Iterable[str]) -> Problem:
    """405, with the methods that are for this path."""
    allow = {"allow": ", ".join(sorted(known))}
    return Problem(405, "not-supported", f"{method} is not supported here", headers=allow)


def _lenient(call: Call) -> bool:
    return call.preference("handling") == "lenient"


def _searchset(call: Call, listing: Listing) -> Reply:
    address = f"{call.base}/{call.type}"
    first, at = _link(address, listing.used), _link(address, [*listing.used, ("_cursor", "")])
    links = page_links(first, at, listing.cursor, listing.around)
    entries = [Entry(f"{address}/{found['id']}", dumps(dict(found))) for found in listing.matches]
    return Reply(200, searchset(entries, listing.total, links), CONTENT)


def _link(address: str, params: Sequence[tuple[str, str]]) -> str:
    query = urlencode(params, safe=":/|,$", quote_via=quote)
    return f"{address}?{query}" if query else address
