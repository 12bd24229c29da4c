"""An idempotent answer is given again until its time is over, and then removed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from fhir_server.app import Core
from fhir_server.cli import main
from fhir_server.context import Context
from fhir_server.interactions import Answer, Idempotency, Result
from fhir_server.mapping.calls import MUTATIONS_KEPT
from fhir_server.problems import Problem
from fhir_server.workers.sweep import sweep, sweeping
from tests.support.clinic import Clinic

DAY = timedelta(hours=24)
SECOND = timedelta(seconds=1)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def caller(tenant: str, at: datetime = NOW) -> Context:
    return Context(tenant, "service", roles=frozenset({"SERVICE"}), now=at)


def keyed(key: str, fingerprint: str = "same", lifetime: timedelta = DAY) -> Idempotency:
    return Idempotency(key, fingerprint, lambda _: Answer(201, b"{}"), lifetime)


async def create(core: Core, ctx: Context, key: Idempotency) -> Result:
    body = {"resourceType": "Organization", "name": "Clinic"}
    return await core.interactions.create(ctx, "Organization", body, idempotency=key)


def kept(url: str, tenant: str) -> list[str]:
    with psycopg.connect(url) as connection:
        query = "SELECT key FROM idempotency WHERE tenant = %s ORDER BY 1"
        return [key for (key,) in connection.execute(query, [tenant])]


async def test_a_key_is_kept_for_a_day_and_then_unused(core: Core, tenant: str) -> None:
    assert (await create(core, caller(tenant), keyed("k"))).created
    last = caller(tenant, NOW + DAY - SECOND)
    assert (await create(core, last, keyed("k"))).replay
    with pytest.raises(Problem, match="another request"):
        await create(core, last, keyed("k", "other"))
    after = caller(tenant, NOW + DAY)
    assert (await create(core, after, keyed("k", "other"))).created
    assert (await create(core, caller(tenant, NOW + DAY + SECOND), keyed("k", "other"))).replay


async def test_an_expired_key_used_by_many_at_once_has_one_effect(core: Core, tenant: str) -> None:
    await create(core, caller(tenant), keyed("k"))
    later = caller(tenant, NOW + DAY)
    results = await asyncio.gather(*(create(core, later, keyed("k")) for _ in range(16)))
    assert sum(result.created for result in results) == 1
    assert sum(result.replay is not None for result in results) == 15


async def test_what_expired_is_removed_and_nothing_else(
    core: Core, database_url: str, tenant: str
) -> None:
    other = tenant + "-other"
    for name in (tenant, other):
        await create(core, caller(name), keyed("old"))
        await create(core, caller(name), keyed("long", lifetime=timedelta(days=36_500)))
        await create(core, Context(name, "service", roles=frozenset({"SERVICE"})), keyed("new"))
    await sweep(core.store, [tenant])
    assert kept(database_url, tenant) == ["long", "new"]
    assert kept(database_url, other) == ["long", "new", "old"]
    await sweep(core.store)
    assert kept(database_url, other) == ["long", "new"]


async def test_a_sweep_is_bounded(core: Core, database_url: str, tenant: str) -> None:
    for n in range(5):
        await create(core, caller(tenant), keyed(f"k{n}"))
    ctx = caller(tenant, NOW + DAY)
    async with core.store.sessions.session(ctx) as session:
        assert await core.store.sweeper.sweep(session, ctx.now, limit=3) == 3
        assert len(kept(database_url, tenant)) == 2
        assert await core.store.sweeper.sweep(session, ctx.now, limit=3) == 2


async def test_a_serving_process_sweeps_and_outlives_a_failure(
    core: Core, database_url: str, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(core, caller(tenant), keyed("k"))
    names, calls = core.store.tenants.names, 0

    async def fails_once(session: object) -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Problem(503, "transient", "down")
        return await names(session)  # type: ignore[arg-type]

    store = replace(core.store)
    monkeypatch.setattr(type(store.tenants), "names", lambda _, session: fails_once(session))
    async with sweeping(store, every=0.01):
        for _ in range(500):
            if not kept(database_url, tenant):
                break
            await asyncio.sleep(0.01)
    assert calls > 1
    assert kept(database_url, tenant) == []


async def test_the_command_sweeps(
    core: Core,
    database_url: str,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await create(core, caller(tenant), keyed("k"))
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", database_url)
    assert await asyncio.to_thread(main, ["sweep", "--tenant", tenant]) == 0
    assert capsys.readouterr().out == "1 expired answers were removed.\n"
    assert kept(database_url, tenant) == []


def test_a_clients_change_is_kept_longer(clinic: Clinic, database_url: str) -> None:
    body = {"participantIds": ["usr_farid"], "subject": "Plan"}
    clinic.amina.v1("POST", "threads", body, idempotency_key="k")
    clinic.amina.v1("POST", "threads", body, x_client_mutation_id="m", idempotency_key="l")
    with psycopg.connect(database_url) as connection:
        query = "SELECT key, expires - created FROM idempotency WHERE tenant = %s ORDER BY 1"
        assert connection.execute(query, [clinic.tenant]).fetchall() == [
            ("k", DAY),
            ("l", DAY),
            ("mutation m", MUTATIONS_KEPT),
        ]
