"""`fhir-server events tail`: what happened in a tenant, as CloudEvents, one JSON a line.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson

from fhir_server.app import build_core
from fhir_server.context import Context
from fhir_server.fhir.instant import now_text
from fhir_server.settings import Settings
from fhir_server.store.write import OutboxEvent

SOURCE = "urn:fhir-server"
PAUSE = 0.2


async def tail(settings: Settings, tenant: str, *, follow: bool) -> AsyncIterator[str]:
    """Every event of the tenant so far, oldest first; with `follow`, then each new one."""
    core = build_core(settings)
    ctx = Context(tenant, "fhir-server-events", face="job")
    await core.store.sessions.open()
    try:
        seen = 0
        while True:
            async with core.store.sessions.session(ctx) as session:
                page = await core.store.outbox.after(session, seen)
            for seq, event in page:
                seen = seq
                yield orjson.dumps(cloud_event(tenant, event)).decode()
            if not page and not follow:
                return
            await asyncio.sleep(0 if page else PAUSE)
    finally:
        await core.store.sessions.close()


def cloud_event(tenant: str, event: OutboxEvent) -> dict[str, Any]:
    """The event as CloudEvents 1.0; `tenantid` is an extension attribute."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": SOURCE,
        "type": event.type,
        "subject": event.subject,
        "time": now_text(event.time),
        "tenantid": tenant,
        "datacontenttype": "application/json",
        "data": event.data,
    }
