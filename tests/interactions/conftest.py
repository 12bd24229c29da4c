"""A tenant's people as the interactions know them, without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fhir_server.app import Core
from fhir_server.context import Context
from fhir_server.interactions import Condition, Idempotency, Interactions, Resource, Result
from fhir_server.problems import Problem
from tests.support.clinic import directory, message, refer, reference, thread


@dataclass(frozen=True)
class Conditional:
    """Intents that a condition decides, carried out."""

    do: Interactions

    async def create(
        self,
        ctx: Context,
        condition: Condition,
        resource: Resource,
        *,
        idempotency: Idempotency | None = None,
        **more: Any,
    ) -> Result:
        intent = self.do.intents.create(condition.type, resource, condition=condition, **more)
        return await self.do.write(ctx, intent, idempotency=idempotency)

    async def update(
        self, ctx: Context, condition: Condition, resource: Resource, **more: Any
    ) -> Result:
        intent = self.do.intents.conditional_update(ctx, condition, resource, **more)
        return await self.do.write(ctx, intent)

    async def patch(
        self,
        ctx: Context,
        condition: Condition,
        change: Callable[[Resource], Resource],
        **more: Any,
    ) -> Result:
        intent = self.do.intents.conditional_patch(ctx, condition, None, lambda _: change, **more)
        return await self.do.write(ctx, intent)

    async def delete(self, ctx: Context, condition: Condition, **more: Any) -> Result:
        return await self.do.write(ctx, self.do.intents.conditional_delete(condition, **more))


@dataclass(frozen=True)
class House:
    """One tenant: what may be asked, and who asks."""

    do: Interactions
    tenant: str

    @property
    def conditional(self) -> Conditional:
        """What a search decides."""
        return Conditional(self.do)

    def as_(self, name: str) -> Context:
        """`amina` and the other clinicians, at this moment."""
        roles = frozenset({"DOCTOR"})
        return Context(self.tenant, f"usr_{name}", f"Practitioner/{name}", roles=roles)

    @property
    def service(self) -> Context:
        """The tenant's own backend, at this moment."""
        return Context(self.tenant, "service", roles=frozenset({"SERVICE"}))

    async def put(self, resource: Resource) -> Result:
        """By the backend."""
        return await self.do.update(
            self.service, resource["resourceType"], resource["id"], resource
        )

    async def created(self, resource: Resource, name: str = "amina") -> Resource:
        result = await self.do.create(self.as_(name), resource["resourceType"], resource)
        assert result.resource
        return result.resource

    async def conversation(self, messages: int = 1) -> tuple[Resource, list[Resource]]:
        """A thread of amina and farid, and what amina said in it."""
        header = await self.created(thread())
        return header, [await self.created(message(header, f"{n}")) for n in range(messages)]

    async def mark_read(
        self, name: str, header: Resource, said: Iterable[Resource], at: str | None = None
    ) -> Result:
        """$mark-read."""
        listed: list[Resource] = [
            {"name": "message", "valueReference": refer(reference(one))[0]} for one in said
        ]
        listed += [{"name": "readAt", "valueInstant": at}] if at else []
        body = {"resourceType": "Parameters", "parameter": listed}
        return await self.do.operation(
            self.as_(name), "mark-read", "Communication", header["id"], body
        )

    async def versions(self, resource_type: str, id: str) -> list[int]:
        """Every version there is, newest first."""
        page = await self.do.history(self.service, resource_type, id, limit=1000)
        return [stored.version for stored in page.versions]


@pytest.fixture
async def house(core: Core) -> House:
    house = House(core.interactions, f"t-{uuid4().hex[:12]}")
    for resource in directory():
        await house.put(resource)
    return house


async def at_once(requests: list[httpx.Request]) -> list[httpx.Response]:
    """Sends all at the same time."""
    limits = httpx.Limits(max_connections=len(requests))
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        return await asyncio.gather(*(client.send(request) for request in requests))


async def settled(calls: Iterable[Awaitable[Result]]) -> tuple[list[Result], list[Problem]]:
    """Runs all at the same time; those that went through, and the refusals of the others."""
    ended: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    done = [one for one in ended if isinstance(one, Result)]
    refused = [one for one in ended if isinstance(one, Problem)]
    assert len(done) + len(refused) == len(ended), ended
    return done, refused
