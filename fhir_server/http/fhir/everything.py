"""$everything: the parameters of its OperationDefinition, and the page as a searchset Bundle.

Both are asked of one resource; GET and POST mean the same.
https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from fhir_server.definitions.loader import did_you_mean
from fhir_server.definitions.model import Definitions
from fhir_server.fhir.bundle import Entry, searchset
from fhir_server.fhir.instant import interval
from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.operations import takes
from fhir_server.http.fhir.replies import CONTENT
from fhir_server.http.wire import Reply
from fhir_server.interactions import Everything, Interactions, Span, Stored, Wanted
from fhir_server.problems import Problem, invalid
from fhir_server.store.values.dates import BEGINNING, END, clamped
from fhir_server.terminology.arguments import Arguments, of_parameters, of_query

# Whoever does not ask for pages is to get all at once, as far as that can be.
DEFAULT, MOST = 5_000, 1_000
DATE: Final = len("2026-01-31")
_POSITION: Final = frozenset({"_cursor", "_format"})


async def everything(interactions: Interactions, definitions: Definitions, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/patient-operation-everything.html"""
    criteria = call.criteria("read")
    owner = f"{call.type}/{call.address()}"
    given = await _given(interactions, definitions, call)
    count = given.number("_count")
    page = await interactions.everything(
        call.ctx,
        Wanted(owner, _span(given), _types(given, definitions)),
        reach=call.reach,
        limit=DEFAULT if count is None else max(1, min(count, MOST)),
        cursor=given.text("_cursor") or "",
        criteria=criteria,
    )
    return _reply(call, owner, page, given)


async def _given(interactions: Interactions, definitions: Definitions, call: Call) -> Arguments:
    """Of the query, and of the Parameters that a POST may have; 400 for a name that is none."""
    given = of_query(call.request.query())
    if call.request.method == "POST" and (call.given or await call.request.body()):
        body = await call.resource()
        interactions.check(body)
        given = given.joined(of_parameters(body))
    known = takes(definitions, call.type, call.tail)
    for name in given.given:
        if name not in known | _POSITION:
            near = did_you_mean(name[:64], known)
            raise invalid(
                f"${call.tail} has no parameter {name[:64]}{near}", "Parameters.parameter"
            )
    return given


def _span(given: Arguments) -> Span:
    start, end, since = given.text("start"), given.text("end"), given.text("_since")
    low = _interval("start", start)[0] if start is not None else BEGINNING
    high = _interval("end", end)[1] if end is not None else END
    return Span(_interval("_since", since)[0] if since is not None else BEGINNING, low, high)


def _interval(name: str, text: str) -> tuple[datetime, datetime]:
    """What a date covers; only `_since` may be as exact as an instant."""
    try:
        # A longer text has a time of day.
        low, high = interval(text.replace(" ", "+") if name == "_since" else text[: DATE + 1])
    except ValueError:
        raise Problem(400, "value", f"{name} is no date", expression=name) from None
    return clamped(low), clamped(high)


def _types(given: Arguments, definitions: Definitions) -> frozenset[str] | None:
    if "_type" not in given.given:
        return None
    if len(given.texts("_type")) != len(given.given["_type"]):
        raise invalid("_type has a value of another kind", "_type")
    names = [name.strip() for text in given.texts("_type") for name in text.split(",")]
    for name in names:
        if name not in definitions.types:
            near = did_you_mean(name[:64], definitions.types)
            raise Problem(400, "value", f"_type: no such type{near}", expression="_type")
    return frozenset(names)


def _reply(call: Call, owner: str, page: Everything, given: Arguments) -> Reply:
    used = [
        (name, str(value))
        for name, values in given.given.items()
        if name not in _POSITION
        for value in values
    ]
    address = f"{call.base}/{owner}/${call.tail}"
    links = [("self", _link(address, used))]
    if page.next is not None:
        links.append(("next", _link(address, [*used, ("_cursor", page.next)])))
    whole = page.next is None and "_cursor" not in given.given
    entries = [
        *(Entry(_url(call, stored), stored.body) for stored in page.records),
        *(Entry(_url(call, stored), stored.body, "include") for stored in page.supporting),
    ]
    total = len(page.records) if whole else None
    return Reply(200, searchset(entries, total, links), CONTENT)


def _url(call: Call, stored: Stored) -> str:
    return f"{call.base}/{stored.reference}"


def _link(address: str, used: list[tuple[str, str]]) -> str:
    query = urlencode(used, safe=":/|,$", quote_via=quote)
    return f"{address}?{query}" if query else address
