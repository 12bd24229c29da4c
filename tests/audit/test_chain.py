"""Whoever changes the audit trail is found out: each way of tampering, done by a superuser."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any, LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.app import Core, build_core
from fhir_server.auditing import TamperedError, verify
from fhir_server.context import Context
from fhir_server.interactions.audit.record import Given, Record
from fhir_server.settings import Settings
from fhir_server.store.audit import Fault
from tests.support.effort import effort

LINKS, EACH = 4, 3
Write = Callable[[str, int], Awaitable[None]]


def record(tenant: str, n: int) -> Record:
    ctx = Context(tenant, "usr_amina", "Practitioner/amina", roles=frozenset({"DOCTOR"}))
    return Record(ctx, "read", Given((f"Communication/c{n}/_history/1",), ("Patient/zahra",)))


async def fill(core: Core, tenant: str) -> None:
    """Some links, of some events each."""
    for link in range(LINKS):
        records = [record(tenant, link * EACH + n) for n in range(EACH)]
        await core.interactions.audit.trail.add(records)


async def faults(core: Core, tenant: str, head: str | None = None) -> list[Fault]:
    ctx = Context(tenant, "tests", face="job")
    return [f async for p in core.store.verifier.verify(ctx, head) for f in p.faults]


async def head(core: Core, tenant: str) -> str:
    ctx = Context(tenant, "tests", face="job")
    *_, last = [p async for p in core.store.verifier.verify(ctx)]
    return last.head.text


def tamper(url: str, statement: LiteralString, *args: Any) -> None:
    with psycopg.connect(url, autocommit=True) as superuser:
        assert superuser.execute(statement, args).rowcount > 0


def some_event(url: str, tenant: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT events[2] FROM audit_link WHERE tenant = %s AND seq = 2", [tenant]
        ).fetchone()
    assert row is not None
    return str(row[0])


async def test_what_nobody_touched_is_intact(core: Core, tenant: str) -> None:
    await fill(core, tenant)
    assert await faults(core, tenant) == []
    assert (await head(core, tenant)).startswith(f"{LINKS}:")


async def test_a_chain_that_grew_contains_its_earlier_head(core: Core, tenant: str) -> None:
    await fill(core, tenant)
    known = await head(core, tenant)
    await fill(core, tenant)
    assert await faults(core, tenant, known) == []
    assert await faults(core, tenant, known.partition(":")[2]) == []


CHANGES: dict[str, LiteralString] = {
    "another outcome": 'UPDATE auditevent SET body = replace(body::text, \'"outcome":"0"\','
    ' \'"outcome":"4"\')::json WHERE tenant = %s AND id = %s',
    "a blank more": "UPDATE auditevent SET body = (body::text || ' ')::json"
    " WHERE tenant = %s AND id = %s",
    "another time": "UPDATE auditevent SET updated = updated + interval '1 day'"
    " WHERE tenant = %s AND id = %s",
    "another version": "UPDATE auditevent SET version = 2 WHERE tenant = %s AND id = %s",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
async def test_a_changed_body_is_named(
    core: Core, tenant: str, database_url: str, statement: LiteralString
) -> None:
    await fill(core, tenant)
    id = some_event(database_url, tenant)
    tamper(database_url, statement, tenant, id)
    assert [(f.kind, f.place) for f in await faults(core, tenant)] == [("changed", id)]


async def test_a_missing_event_is_named(core: Core, tenant: str, database_url: str) -> None:
    await fill(core, tenant)
    id = some_event(database_url, tenant)
    tamper(database_url, "DELETE FROM auditevent WHERE tenant = %s AND id = %s", tenant, id)
    assert [(f.kind, f.place) for f in await faults(core, tenant)] == [("missing", id)]


async def test_an_event_that_nobody_recorded_is_named(
    core: Core, tenant: str, database_url: str
) -> None:
    await fill(core, tenant)
    tamper(
        database_url,
        "INSERT INTO auditevent (tenant, id, version, updated, body, keys)"
        " SELECT tenant, 'slipped-in', version, updated, body, keys FROM auditevent"
        " WHERE tenant = %s LIMIT 1",
        tenant,
    )
    assert [(f.kind, f.place) for f in await faults(core, tenant)] == [("outside", "slipped-in")]


async def test_a_version_that_was_slipped_in_is_named(
    core: Core, tenant: str, database_url: str
) -> None:
    await fill(core, tenant)
    id = some_event(database_url, tenant)
    tamper(
        database_url,
        "INSERT INTO history (tenant, type, id, version, updated, body)"
        " SELECT tenant, 'AuditEvent', id, 0, updated, body FROM auditevent"
        " WHERE tenant = %s AND id = %s",
        tenant,
        id,
    )
    assert [(f.kind, f.place) for f in await faults(core, tenant)] == [("outside", id)]


async def test_an_event_and_its_mention_removed_break_the_link(
    core: Core, tenant: str, database_url: str
) -> None:
    await fill(core, tenant)
    id = some_event(database_url, tenant)
    tamper(database_url, "DELETE FROM auditevent WHERE tenant = %s AND id = %s", tenant, id)
    tamper(
        database_url,
        "UPDATE audit_link SET events = array_remove(events, %s),"
        " sums = substr(sums, 1, 32) || substr(sums, 65) WHERE tenant = %s AND seq = 2",
        id,
        tenant,
    )
    assert [(f.kind, f.place) for f in await faults(core, tenant)] == [("broken", "2")]


async def test_a_link_written_anew_breaks_the_next(
    core: Core, tenant: str, database_url: str
) -> None:
    await fill(core, tenant)
    tamper(
        database_url,
        "UPDATE audit_link SET hash = sha256(hash) WHERE tenant = %s AND seq = 2",
        tenant,
    )
    found = [(f.kind, f.place) for f in await faults(core, tenant)]
    assert found == [("broken", "2"), ("broken", "3")]


async def test_a_missing_link_is_named(core: Core, tenant: str, database_url: str) -> None:
    await fill(core, tenant)
    tamper(database_url, "DELETE FROM audit_link WHERE tenant = %s AND seq = 2", tenant)
    found = await faults(core, tenant)
    assert (found[0].kind, found[0].place) == ("lost", "2")
    assert [f.kind for f in found[1:]] == ["outside"] * EACH


async def test_a_truncated_end_shows_against_a_head_kept_elsewhere(
    core: Core, tenant: str, database_url: str
) -> None:
    await fill(core, tenant)
    known = await head(core, tenant)
    tamper(
        database_url,
        "WITH gone AS (DELETE FROM audit_link WHERE tenant = %s AND seq = %s RETURNING events)"
        " DELETE FROM auditevent WHERE tenant = %s AND id IN (SELECT unnest(events) FROM gone)",
        tenant,
        LINKS,
        tenant,
    )
    assert await faults(core, tenant) == []
    assert [f.kind for f in await faults(core, tenant, known)] == ["truncated"]


async def test_the_command_prints_heads_and_fails_where_it_must(
    core: Core, tenant: str, database_url: str, settings_of_tests: Settings
) -> None:
    await fill(core, tenant)
    out = io.StringIO()
    await verify(settings_of_tests, tenant, None, out)
    known = out.getvalue().split()[-1]
    assert f"{tenant}: intact, {LINKS * EACH} events in {LINKS} links, head {known}" in (
        out.getvalue()
    )
    await verify(settings_of_tests, tenant, known, io.StringIO())
    id = some_event(database_url, tenant)
    tamper(database_url, "DELETE FROM auditevent WHERE tenant = %s AND id = %s", tenant, id)
    with pytest.raises(TamperedError):
        await verify(settings_of_tests, tenant, known, out)
    assert f"{tenant}: missing {id}" in out.getvalue()


async def test_a_tenant_that_is_not_there_is_not_intact(settings_of_tests: Settings) -> None:
    out = io.StringIO()
    with pytest.raises(ValueError, match="nothing is stored"):
        await verify(settings_of_tests, "mistyped", None, out)
    assert out.getvalue() == ""


async def test_the_server_itself_may_only_add(core: Core, tenant: str) -> None:
    await fill(core, tenant)
    ctx = Context(tenant, "tests", face="job")
    for statement in (
        "DELETE FROM auditevent",
        "UPDATE auditevent SET body = body",
        "UPDATE auditevent SET id = id",
        "UPDATE auditevent SET version = 2",
        "UPDATE auditevent SET tenant = 'x'",
        "DELETE FROM audit_link",
        "UPDATE audit_link SET hash = hash",
        "TRUNCATE audit_link",
    ):
        async with core.store.sessions.session(ctx) as session:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await session.execute(statement)


@given(plan=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=20))
@settings(max_examples=effort(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_several_servers_lengthen_one_chain(
    plan: list[tuple[int, int]], settings_of_tests: Settings
) -> None:
    asyncio.run(_several(plan, settings_of_tests))


async def _several(plan: list[tuple[int, int]], chosen: Settings) -> None:
    """Each server adds its batches, all at the same time."""
    from uuid import uuid4

    tenant = f"t-{uuid4().hex[:12]}"
    cores = [build_core(chosen) for _ in range(3)]
    try:
        for core in cores:
            await core.store.sessions.open()

        async def serve(n: int) -> None:
            for which, count in plan:
                if which == n:
                    records = [record(tenant, n * 100 + i) for i in range(count)]
                    await cores[n].interactions.audit.trail.add(records)

        await asyncio.gather(*(serve(n) for n in range(len(cores))))
        ctx = Context(tenant, "tests", face="job")
        *_, last = [p async for p in cores[0].store.verifier.verify(ctx)]
        assert not await faults(cores[0], tenant)
        assert last.events == sum(count for _, count in plan)
        assert last.links == len(plan)
    finally:
        for core in cores:
            await core.store.sessions.close()
