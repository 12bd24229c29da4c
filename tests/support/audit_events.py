"""AuditEvents as the server writes them, and a trail of them, appended to the chain: nobody may
create one."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from fhir_server.app import Core, opened
from fhir_server.context import Context
from fhir_server.fhir.ids import new_ids
from fhir_server.fhir.instant import now_text
from fhir_server.settings import Settings
from fhir_server.store.audit import Entry
from fhir_server.store.index import Indexer

Resource = dict[str, Any]

TYPES = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTIONS = "http://hl7.org/fhir/restful-interaction"
ROLES = "http://terminology.hl7.org/CodeSystem/object-role"
BALP = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
ACTIONS = {
    "read": "R",
    "vread": "R",
    "history-instance": "R",
    "search-type": "E",
    "operation": "E",
    "create": "C",
    "update": "U",
    "patch": "U",
    "delete": "D",
}
BEGIN = datetime(2026, 1, 31, 9, tzinfo=UTC)
# How many are written at a time.
AT_ONCE = 1000


def audit_event(
    interaction: str = "read",
    *,
    actor: str | None = "Practitioner/amina",
    client: str | None = None,
    roles: Sequence[str] = ("DOCTOR",),
    address: str | None = "192.0.2.7",
    outcome: str = "0",
    reason: str | None = None,
    recorded: str | None = None,
    patient: str | Sequence[str] | None = None,
    resource: str | Sequence[str] | None = None,
    query: str | None = None,
    request: str | None = None,
) -> Resource:
    """One, https://profiles.ihe.net/ITI/BALP/ ; `client` is the subject of a system's token."""
    who = {"reference": actor} if client is None else {"identifier": {"value": client}}
    agent: Resource = {
        "requestor": True,
        "who": who,
        "role": [{"coding": [{"code": role}], "text": role} for role in roles],
        "network": {"address": address, "type": "2"} if address else None,
    }
    entities = [
        *(_entity("1", what={"reference": one}) for one in _several(patient)),
        *(_entity("4", what={"reference": one}) for one in _several(resource)),
        query and _entity("24", query=b64encode(query.encode()).decode()),
        request and _transaction(request),
    ]
    found = {
        "resourceType": "AuditEvent",
        "type": {"system": TYPES, "code": "rest"},
        "subtype": [{"system": INTERACTIONS, "code": interaction}],
        "action": ACTIONS[interaction],
        "recorded": recorded or now_text(datetime.now(UTC)),
        "outcome": outcome,
        "outcomeDesc": reason,
        "agent": [{name: value for name, value in agent.items() if value}],
        "source": {"observer": {"display": "fhir-server"}},
        "entity": [entity for entity in entities if entity],
    }
    return {name: value for name, value in found.items() if value}


def trail(length: int) -> list[Resource]:
    """That many, a second apart."""
    return [
        audit_event(
            recorded=now_text(BEGIN + timedelta(seconds=n)),
            patient="Patient/zahra",
            resource=f"Encounter/e{n}",
            request=f"r-{n}",
        )
        for n in range(length)
    ]


async def store(core: Core, tenant: str, events: Sequence[Resource]) -> list[str]:
    """Appends them to the trail's chain, as the server does; their ids."""
    indexer, ids = Indexer(core.definitions), new_ids(len(events))
    entries = [_entry(indexer, tenant, id, event) for id, event in zip(ids, events, strict=True)]
    async with core.store.sessions.session(Context(tenant, "tests", face="job")) as session:
        for at in range(0, len(entries), AT_ONCE):
            await core.store.chain.append(session, tenant, entries[at : at + AT_ONCE])
    return ids


def _entry(indexer: Indexer, tenant: str, id: str, event: Resource) -> Entry:
    at = event["recorded"]
    resource = {**event, "id": id, "meta": {"versionId": "1", "lastUpdated": at}}
    row = indexer.row(tenant, "AuditEvent", resource)
    keys = "{" + ",".join(map(str, row.keys)) + "}"
    return Entry(id, at, orjson.dumps(resource).decode(), keys, orjson.dumps(row.sorts).decode())


def stored(settings: Settings, tenant: str, events: Sequence[Resource]) -> list[str]:
    """The same, for a test that is a plain function."""

    async def run() -> list[str]:
        async with opened(settings) as core:
            return await store(core, tenant, events)

    return asyncio.run(run())


def _several(given: str | Sequence[str] | None) -> Sequence[str]:
    return [given] if isinstance(given, str) else given or ()


def _entity(role: str, **more: Any) -> Resource:
    return {"role": {"system": ROLES, "code": role}, **more}


def _transaction(request: str) -> Resource:
    kind = {"system": BALP, "code": "XrequestId"}
    return {"type": kind, "what": {"identifier": {"value": request}}}
