"""AuditEvents in the shape of IHE's Basic Audit Log Patterns, as text.

One is written for every read, so the text is put together from remembered parts. A test holds
every kind of event against the R4 definitions.
https://profiles.ihe.net/ITI/BALP/, https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from fhir_server.fhir.ids import new_ids
from fhir_server.fhir.instant import now_text
from fhir_server.interactions.audit.record import Given, Record
from fhir_server.store.audit import Columns, Entry

REST: Final = {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"}
INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
USER: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
    "code": "IRCP",
}
IP_ADDRESS: Final = "2"
OBSERVER: Final = '"source":{"observer":{"display":"fhir-server"}}'
# The interaction's action; all others only read.
ACTIONS: Final = {
    "create": "C",
    "update": "U",
    "patch": "U",
    "delete": "D",
    "search-type": "E",
    "search-system": "E",
    "operation": "E",
    "transaction": "E",
    "batch": "E",
}
_OUTCOMES: Final = {4: "4", 5: "8"}


def _entity(type: str, role: str) -> str:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": type}
    part = {"system": "http://terminology.hl7.org/CodeSystem/object-role", "code": role}
    return f'"type":{orjson.dumps(kind).decode()},"role":{orjson.dumps(part).decode()}'


PERSON, DATA, QUERY = _entity("1", "1"), _entity("2", "4"), _entity("2", "24")
_REQUEST_ID: Final = orjson.dumps(
    {
        "system": "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType",
        "code": "XrequestId",
    }
).decode()


class Events:
    """Makes AuditEvents of records, with their search columns."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def entries(self, records: Sequence[Record]) -> list[Entry]:
        """The events as they are stored, under ids of their own."""
        return list(map(self._entry, new_ids(len(records)), records))

    def _entry(self, id: str, record: Record) -> Entry:
        ctx, given, origin = record.ctx, record.given, record.ctx.origin
        address, request = (origin.address, origin.request) if origin else (None, None)
        kind = _kind(record.interaction, record.status // 100, record.code)
        agent = _agent(ctx.user, ctx.subject, ctx.roles, address)
        at = now_text(ctx.now)
        body = (
            f'{{"resourceType":"AuditEvent","id":"{id}",'
            f'"meta":{{"versionId":"1","lastUpdated":"{at}"}},{kind},"recorded":"{at}",'
            f"{agent},{OBSERVER}{_entities(given, record.query, request)}}}"
        )
        named = [data.partition("/_history/")[0] for data in given.data]
        keys, sorts = self._columns.of(
            ctx.tenant, id, f"{kind},{agent}", given.patients, named, request
        )
        return Entry(id, at, body, keys, sorts)


@lru_cache(maxsize=1_024)
def _kind(interaction: str, status: int, code: str) -> str:
    parts: dict[str, Any] = {
        "type": REST,
        "subtype": [{"system": INTERACTION, "code": interaction}],
        "action": ACTIONS.get(interaction, "R"),
        "outcome": _OUTCOMES.get(status, "0"),
    }
    return _members(parts | ({"outcomeDesc": code} if code else {}))


@lru_cache(maxsize=8_192)
def _agent(user: str | None, subject: str, roles: frozenset[str], address: str | None) -> str:
    agent: dict[str, Any] = {"type": {"coding": [USER]}}
    if roles:
        agent["role"] = [{"coding": [{"code": role}]} for role in sorted(roles)]
    agent["who"] = {"reference": user} if user else {"identifier": {"value": subject}}
    agent["requestor"] = True
    if address:
        agent["network"] = {"address": address, "type": IP_ADDRESS}
    return _members({"agent": [agent]})


def _members(parts: dict[str, Any]) -> str:
    return orjson.dumps(parts).decode()[1:-1]


def _entities(given: Given, query: str, request: str | None) -> str:
    """Ids are letters, digits, `-` and `.`, so they may stand in the text as they are."""
    found = [f'{{"what":{{"reference":"{one}"}},{PERSON}}}' for one in given.patients]
    found += [f'{{"what":{{"reference":"{one}"}},{DATA}}}' for one in given.data]
    if query:
        found.append(f'{{{QUERY},"query":"{b64encode(query.encode()).decode()}"}}')
    if request:
        what = f'{{"identifier":{{"value":"{request}"}}}}'
        found.append(f'{{"what":{what},"type":{_REQUEST_ID}}}')
    return f',"entity":[{",".join(found)}]' if found else ""
