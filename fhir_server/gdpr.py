"""`fhir-server gdpr list`: the open requests under the GDPR, one JSON a line."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson

from fhir_server.app import opened
from fhir_server.communication.gdpr.request import code_of, due_by, hold_of, state_of, subject_of
from fhir_server.fhir.instant import now_text
from fhir_server.fhir.json import parse
from fhir_server.interactions import Resource, Stored
from fhir_server.settings import Settings
from fhir_server.workers.tenants import tenants, worker


async def listed(settings: Settings, tenant: str | None) -> AsyncIterator[str]:
    """Those of a tenant, or of all, the oldest first; `late` is what was due before now."""
    async with opened(settings) as core:
        for name in [tenant] if tenant else await tenants(core.store):
            for stored in await core.gdpr().open(name):
                yield orjson.dumps(_line(name, stored)).decode()


def _line(tenant: str, stored: Stored) -> dict[str, object]:
    request: Resource = parse(stored.body)
    subject, due = subject_of(request), due_by(request)
    return {
        "tenant": tenant,
        "request": stored.reference,
        "code": code_of(request),
        "subject": f"{subject.type}/{subject.id}" if subject else None,
        "state": state_of(request),
        "hold": hold_of(request),
        "dueBy": now_text(due),
        "late": worker(tenant).now > due,
    }
