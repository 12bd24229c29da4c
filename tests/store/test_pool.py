"""Connections remember their tenant, and never serve another one with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fhir_server.context import Context
from fhir_server.definitions.model import Definitions
from fhir_server.problems import Problem
from fhir_server.store import Store, build_store
from fhir_server.store.pool import LIVELY, SETTING, lively
from tests.support.proxy import Proxy

TENANTS = [f"tenant-{n}" for n in range(5)]
LIVELY_TEXT = {name: str(value) for name, value in LIVELY.items()}
TOLD = f"SELECT current_setting('{SETTING}'), (SELECT array_agg(tenant) FROM tenant)"


@pytest.fixture
async def store(database_url: str, definitions: Definitions) -> AsyncIterator[Store]:
    """Two connections for everyone, and a row for each tenant."""
    store = build_store(
        database_url, definitions, pool_size=2, pool_timeout=30, cursor_key=b"k" * 32
    )
    await store.sessions.open()
    for tenant in TENANTS:
        async with store.sessions.session(Context(tenant, "x")) as session:
            await store.tenants.license(session, tenant, ["m"])
    yield store
    await store.sessions.close()


async def told(store: Store, tenant: str) -> tuple[str, list[str]]:
    async with store.sessions.session(Context(tenant, "x")) as session:
        ((setting, rows),) = await session.fetch(TOLD)
    return setting, rows


async def backend(store: Store, tenant: str) -> int:
    async with store.sessions.session(Context(tenant, "x")) as session:
        ((pid,),) = await session.fetch("SELECT pg_backend_pid()")
    return int(pid)


async def test_many_callers_of_many_tenants_never_mix(store: Store) -> None:
    async def caller(n: int) -> None:
        for turn in range(10):
            tenant = TENANTS[(n + turn) % len(TENANTS)]
            assert await told(store, tenant) == (tenant, [tenant])

    await asyncio.gather(*(caller(n) for n in range(50)))


async def test_a_tenant_gets_its_own_connection_again(store: Store) -> None:
    one, two, *_ = TENANTS
    pids = [(await backend(store, one), await backend(store, two)) for _ in range(10)]
    assert len(set(pids)) == 1
    assert len(set(pids[0])) == 2


async def test_a_failed_or_cancelled_caller_leaves_nothing_behind(store: Store) -> None:
    one, two, *_ = TENANTS

    async def fails() -> None:
        async with store.sessions.session(Context(one, "x")) as session, session.transaction():
            await session.execute("DELETE FROM tenant")
            await session.execute("SELECT 1/0")

    async def waits() -> None:
        async with store.sessions.session(Context(one, "x")) as session, session.transaction():
            await session.execute("DELETE FROM tenant")
            await session.execute("SELECT pg_sleep(30)")

    for _ in range(4):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await fails()
        with suppress(TimeoutError, Problem):
            await asyncio.wait_for(waits(), 0.05)
        assert await told(store, two) == (two, [two])
        assert await told(store, one) == (one, [one])


async def test_a_broken_connection_is_replaced_by_one_with_the_right_tenant(
    store: Store, database_url: str
) -> None:
    pids = [await backend(store, tenant) for tenant in TENANTS[:2]]
    with psycopg.connect(database_url, autocommit=True) as owner:
        for pid in pids:
            owner.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    for tenant in TENANTS:
        assert await told(store, tenant) == (tenant, [tenant])


async def test_connections_to_a_demoted_primary_are_let_go(store: Store) -> None:
    ctx = Context(TENANTS[0], "x")
    for _ in range(2):
        async with store.sessions.session(ctx) as session:
            await session.execute("SET default_transaction_read_only = on")
    with pytest.raises(Problem) as caught:
        async with store.sessions.session(ctx) as session:
            await session.execute("DELETE FROM tenant")
    assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "1")
    async with store.sessions.session(ctx) as session:
        assert await session.execute("DELETE FROM tenant") == 1


async def test_a_silent_database_is_503_and_not_ready(
    database_url: str, definitions: Definitions
) -> None:
    with Proxy(lambda: database_url).running() as proxy:
        store = build_store(
            make_conninfo(database_url, host="127.0.0.1", port=proxy.port),
            definitions,
            pool_size=2,
            pool_timeout=2,
            patience=0.1,
            cursor_key=b"k" * 32,
        )
        await store.sessions.open()
        assert await store.sessions.ready()
        proxy.be("silent")
        with pytest.raises(Problem) as caught:
            await backend(store, "a")
        assert caught.value.status == 503
        assert not await store.sessions.ready()
        proxy.be("open")
        await ready_at_last(store)
        assert await backend(store, "a")
        await store.sessions.close()


async def ready_at_last(store: Store) -> None:
    async with asyncio.timeout(30):
        while not await store.sessions.ready():  # noqa: ASYNC110 - a deadline bounds it
            await asyncio.sleep(0.05)


def test_the_url_s_own_words_win() -> None:
    url = "postgresql://u:p@a:1,b:2/d?target_session_attrs=read-write&connect_timeout=9"
    found = conninfo_to_dict(lively(url))
    assert found == {**LIVELY_TEXT, **conninfo_to_dict(url)}


async def test_no_connection_in_time_is_503(database_url: str, definitions: Definitions) -> None:
    store = build_store(
        database_url, definitions, pool_size=1, pool_timeout=0.05, cursor_key=b"k" * 32
    )
    await store.sessions.open()
    async with store.sessions.session(Context("a", "x")):
        with pytest.raises(Problem) as caught:
            await backend(store, "b")
    assert caught.value.status == 503
    assert await backend(store, "b")
    await store.sessions.close()
