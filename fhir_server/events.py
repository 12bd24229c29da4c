"""`fhir-server events`: what happened in a tenant, as CloudEvents, one JSON a line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import orjson

from fhir_server.app import Core, opened
from fhir_server.context import Context
from fhir_server.fhir.instant import now_text
from fhir_server.settings import Settings
from fhir_server.store.outbox import Numbered
from fhir_server.workers.cloud_event import cloud_event
from fhir_server.workers.tenants import tenants


async def tail(settings: Settings, tenant: str, *, follow: bool) -> AsyncGenerator[str, None]:
    """Every event of the tenant that is kept, oldest first; with `follow`, then each new one as
    somebody rings for it."""
    async with (
        opened(settings) as core,
        aclosing(_occasions(core, tenant, follow=follow)) as occasions,
    ):
        seen = 0
        async for _ in occasions:
            while page := await _page(core, tenant, seen):
                for seq, event in page:
                    seen = seq
                    yield orjson.dumps(cloud_event(tenant, event)).decode()


async def _page(core: Core, tenant: str, seen: int) -> Sequence[Numbered]:
    async with core.store.sessions.session(_caller(tenant)) as session:
        return await core.store.outbox.after(session, seen)


async def _occasions(core: Core, tenant: str, *, follow: bool) -> AsyncGenerator[None, None]:
    """When to look: once, or at first and whenever something may have happened."""
    if not follow:
        yield
        return
    async with aclosing(core.store.doorbell.heard()) as rung:
        async for named in rung:
            if named in (None, tenant):
                yield


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
