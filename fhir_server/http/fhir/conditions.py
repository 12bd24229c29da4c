"""The conditions that a request carries: search criteria that a write depends on, and what a
client knows already.

https://hl7.org/fhir/R4/http.html#cond-update, https://hl7.org/fhir/R4/http.html#cread
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from fhir_server.definitions.model import Definitions
from fhir_server.http.fhir.call import Call, number
from fhir_server.http.fhir.replies import resource_reply
from fhir_server.http.fhir.representation import NAMES
from fhir_server.http.wire import Reply, form
from fhir_server.interactions import Condition, Stored
from fhir_server.problems import Problem, invalid

Pairs = list[tuple[str, str]]
# How many resources one request may delete.
MOST: Final = 1000


def if_none_exist(call: Call, definitions: Definitions) -> Condition | None:
    """The condition of a create: criteria, which some clients send with the type before them, and
    some (fhirpy) in the address."""
    given = call.request.header("if-none-exist")
    asked = _criteria(call)
    if given is None and not asked:
        return None
    if "conditional-create" not in definitions.types[call.type].interactions:
        # Passed over, it would make the duplicate that the client wants to avoid.
        raise Problem(400, "not-supported", f"no conditional create of {call.type} here")
    if given is None:
        return _condition(call, asked)
    head, mark, criteria = given.strip().partition("?")
    if not mark or "=" in head:
        return _condition(call, form(given.strip().encode("latin-1")))
    if head.rpartition("/")[2] not in {"", call.type}:
        raise invalid(f"If-None-Exist must ask for {call.type}, as the address does")
    return _condition(call, form(criteria.encode("latin-1")))


def of_query(call: Call, definitions: Definitions | None = None) -> Condition:
    """The condition in the address; with `definitions`, one that may mean several resources
    where the type allows it: `_count` says how many."""
    given = _criteria(call)
    counts = [value for name, value in given if name == "_count"]
    if definitions is None or not counts:
        return _condition(call, given)
    several = "conditional-delete-multiple" in definitions.types[call.type].interactions
    rest = [pair for pair in given if pair[0] != "_count"]
    return _condition(call, rest, _count(call, counts, several=several))


def known(call: Call) -> str | datetime | None:
    """The version that a write is meant for: If-Match, and only without it If-Unmodified-Since
    (RFC 9110, 13.2.2)."""
    tag = call.request.header("if-match")
    return tag if tag is not None else _moment(call.request.header("if-unmodified-since"))


def unless_known(call: Call, stored: Stored) -> Reply:
    """The resource, or 304 with its headers where the client has this version already."""
    reply = resource_reply(stored)
    if not _known(call, stored):
        return reply
    headers = {name: reply.headers[name] for name in ("etag", "last-modified", "vary")}
    return Reply(304, b"", headers)


def _criteria(call: Call) -> Pairs:
    return [pair for pair in call.request.query() if pair[0] not in NAMES]


def _condition(call: Call, where: Pairs, count: int = 1) -> Condition:
    call.criteria("search-type")
    return Condition(call.type, where, call.reach, count)


def _count(call: Call, counts: list[str], *, several: bool) -> int:
    count = number(counts[-1], "_count")
    if count == 0:
        raise invalid("_count must be 1 or more", "_count")
    if count > 1 and not several:
        raise invalid(f"{call.type} are deleted one at a time", "_count")
    return min(count, MOST)


def _known(call: Call, stored: Stored) -> bool:
    """If-None-Match decides alone where it is given (RFC 9110, 13.2.2)."""
    tags = call.request.header("if-none-match")
    if tags is not None:
        known = {tag.strip().removeprefix("W/").strip('"') for tag in tags.split(",")}
        return not known.isdisjoint({"*", str(stored.version)})
    since = _moment(call.request.header("if-modified-since"))
    return since is not None and stored.updated.replace(microsecond=0) <= since


def _moment(text: str | None) -> datetime | None:
    """None for what is no HTTP date: such a condition counts as not given."""
    try:
        found = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
