"""`fhir-server events`: what happened in a tenant, as CloudEvents, one JSON a line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson

from fhir_server.app import opened
from fhir_server.context import Context
from fhir_server.fhir.instant import now_text
from fhir_server.settings import Settings
from fhir_server.workers.cloud_event import cloud_event
from fhir_server.workers.tenants import tenants

PAUSE = 0.2


async def tail(settings: Settings, tenant: str, *, follow: bool) -> AsyncIterator[str]:
    """Every event of the tenant that is kept, oldest first; with `follow`, then each new one."""
    async with opened(settings) as core:
        seen = 0
        while True:
            async with core.store.sessions.session(_caller(tenant)) as session:
                page = await core.store.outbox.after(session, seen)
            for seq, event in page:
                seen = seq
                yield orjson.dumps(cloud_event(tenant, event)).decode()
            if not page and not follow:
                return
            await asyncio.sleep(0 if page else PAUSE)


async def dead(settings: Settings, tenant: str | None) -> AsyncIterator[str]:
    """The dead letters, oldest first, with `dead`, `failure` and `tries`."""
    async with opened(settings) as core:
        for name in [tenant] if tenant else await tenants(core.store):
            async with core.store.sessions.session(_caller(name)) as session:
                letters = await core.store.outbox.dead(session)
            for letter in letters:
                why = {"dead": now_text(letter.dead), "failure": letter.failure}
                told = {**cloud_event(name, letter.event), **why, "tries": letter.tries}
                yield orjson.dumps(told).decode()


async def publish(settings: Settings, body: bytes) -> str:
    """Takes an event in as from the bus; says what it did. UnusableError or Problem otherwise."""
    async with opened(settings) as core, core.store.doorbell.ringing():
        outcome = await core.incoming().take(body)
        return f"{outcome.effect}: {outcome.reference}" if outcome.reference else outcome.effect


async def replay(settings: Settings, tenant: str, id: str | None) -> int:
    """Lets dead letters wait again, all of the tenant's or that one; how many they were."""
    async with opened(settings) as core, core.store.doorbell.ringing():
        async with core.store.sessions.session(_caller(tenant)) as session:
            number = await core.store.outbox.replay(session, id)
            session.announce()
        return number


def _caller(tenant: str) -> Context:
    return Context(tenant, "fhir-server-events", face="job")
