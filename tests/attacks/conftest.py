"""The small world in a tenant of its own, with somebody signed in for every kind of caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fhir_server.definitions.model import Definitions
from fhir_server.interactions.audit import Trail
from fhir_server.workers.gdpr import Gdpr
from tests.attacks.watch import Token, Watch
from tests.attacks.world import World, callers, clinic
from tests.search.bench import Bench

Store = Callable[[str, Iterable[dict[str, Any]]], None]
NewWatch = Callable[[World], Watch]


@pytest.fixture(scope="module")
def store(database_url: str, definitions: Definitions) -> Store:
    """Puts resources into a tenant as they are, past every rule: `store(tenant, resources)`."""

    def put(tenant: str, resources: Iterable[dict[str, Any]]) -> None:
        async def write() -> None:
            async with Bench.on(database_url, definitions) as bench:
                await bench.put(tenant, resources)

        asyncio.run(write())

    return put


@pytest.fixture(scope="module")
def still() -> Iterator[None]:
    """What the server does by itself does not change the world: no request under the GDPR is
    carried out, and nothing is recorded of who asked (tests/audit have that)."""

    def nothing(_: Trail, __: Any) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Gdpr, "running", lambda _: AsyncExitStack())
        patch.setattr(Trail, "take", nothing)
        yield


@pytest.fixture(scope="module")
def http(still: None, server_url: str) -> Iterator[httpx.Client]:  # noqa: ARG001 - first
    with httpx.Client(base_url=server_url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def watches(http: httpx.Client, token: Token, store: Store) -> NewWatch:
    """Puts a world into a new tenant and watches it."""

    def watch(world: World) -> Watch:
        tenant = f"t-{uuid4().hex[:12]}"
        store(tenant, world.resources.values())
        return Watch(http, token, tenant, world, callers(world))

    return watch


@pytest.fixture(scope="module")
def watch(watches: NewWatch) -> Watch:
    """The clinic; tests of one file that change nothing share it."""
    return watches(clinic())
