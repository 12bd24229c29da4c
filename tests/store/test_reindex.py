"""Renewing search columns beside those who write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import psycopg
import pytest

from fhir_server.app import Core
from fhir_server.context import Context
from fhir_server.definitions.model import Definitions, HotIndex, SearchParameter
from fhir_server.interactions import Interactions
from fhir_server.store import Store, build_store
from fhir_server.store.index import Indexer
from fhir_server.store.migrations import migrate
from fhir_server.store.reindex import Batch
from fhir_server.workers.reindex import Progress, reindex
from fhir_server.workers.tenants import worker

NOTED = SearchParameter("note-time", "date", "Task.note.time")
NICK = SearchParameter("note-text", "string", "Task.note.text")


def declared(definitions: Definitions) -> Definitions:
    """Two more parameters, one of them in an index of its own."""
    served = definitions.types["Task"]
    search = {**served.search, NOTED.code: NOTED, NICK.code: NICK}
    index = HotIndex((("requester", False), (NOTED.code, True)))
    more = replace(served, search=search, indexes=(*served.indexes, index))
    return replace(definitions, types={**definitions.types, "Task": more})


@pytest.fixture
async def newer(database_url: str, definitions: Definitions) -> AsyncIterator[Store]:
    """The store as newer declarations make it."""
    more = declared(definitions)
    migrate(database_url, more)
    store = build_store(database_url, more, pool_size=4, pool_timeout=5, cursor_key=b"k")
    await store.sessions.open()
    yield store
    await store.sessions.close()


def task(id: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "id": id,
        "status": "completed",
        "intent": "order",
        "requester": {"reference": "Practitioner/amina"},
        "note": [{"text": f"Note {id}", "time": "2026-01-31T09:05:00Z"}],
        **more,
    }


async def put(do: Interactions, ctx: Context, resource: dict[str, Any]) -> None:
    await do.update(ctx, resource["resourceType"], resource["id"], resource)


async def filled(core: Core, tenant: str, count: int = 5) -> list[str]:
    """Resources that the older declarations indexed."""
    ids = [f"c{n:03}" for n in range(count)]
    for id in ids:
        await put(core.interactions, worker(tenant), task(id))
    return ids


async def found(store: Store, ctx: Context, *params: tuple[str, str]) -> list[str]:
    query = store.planner.plan(ctx, "Task", params)
    async with store.sessions.session(ctx) as session:
        return [row.id for row in (await store.planner.run(session, query)).matches]


async def run(store: Store, tenant: str) -> list[Progress]:
    return [step async for step in reindex(store, [tenant], ["Task", "Patient"])]


async def batch(store: Store, tenant: str, after: str = "", limit: int = 200) -> Batch:
    ctx = worker(tenant)
    async with store.sessions.session(ctx) as session:
        return await store.reindexer.batch(session, ctx, "Task", after, limit)


async def stale(store: Store, tenant: str) -> int:
    async with store.sessions.session(worker(tenant)) as session:
        return await store.reindexer.stale(session, "Task")


def values(url: str, tenant: str, id: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT exact FROM task_value"
            " WHERE tenant = %s AND id = %s AND param = 'note-text' ORDER BY 1",
            [tenant, id],
        )
        return [text for (text,) in rows]


def test_the_fingerprint_is_of_what_decides_about_rows(definitions: Definitions) -> None:
    before, more = Indexer(definitions, "https://a"), declared(definitions)
    assert before.fingerprint("Task") == Indexer(definitions, "https://a").fingerprint("Task")
    assert before.fingerprint("Task") != Indexer(definitions, "https://b").fingerprint("Task")
    after = Indexer(more, "https://a")
    assert before.fingerprint("Task") != after.fingerprint("Task")
    assert before.fingerprint("Patient") == after.fingerprint("Patient")
    served = replace(more.types["Task"], indexes=definitions.types["Task"].indexes)
    cold = Indexer(replace(more, types={**more.types, "Task": served}), "https://a")
    assert after.fingerprint("Task") != cold.fingerprint("Task")


async def test_what_was_stored_before_is_found_after(core: Core, newer: Store, tenant: str) -> None:
    ids, ctx = await filled(core, tenant), worker(tenant)
    assert await found(newer, ctx, ("note-text", "note")) == []
    steps = await run(newer, tenant)
    assert steps[0] == Progress(tenant, "Task", 0, len(ids))
    assert steps[-1] == Progress(tenant, "Task", len(ids), len(ids))
    assert await found(newer, ctx, ("note-text", "note")) == ids
    hot = ("requester", "Practitioner/amina"), ("note-time", "ge2026"), ("_sort", "-note-time")
    assert sorted(await found(newer, ctx, *hot)) == ids
    assert await run(newer, tenant) == []


async def test_body_version_and_history_stay(core: Core, newer: Store, tenant: str) -> None:
    await filled(core, tenant, 1)
    before = await core.interactions.read(worker(tenant), "Task", "c000")
    await run(newer, tenant)
    assert await core.interactions.read(worker(tenant), "Task", "c000") == before
    page = await core.interactions.history(worker(tenant), "Task", "c000", limit=9)
    assert [stored.version for stored in page.versions] == [1]


async def test_rows_equal_those_that_a_write_makes(
    core: Core, newer: Store, database_url: str, tenant: str
) -> None:
    await filled(core, tenant, 1)
    await run(newer, tenant)
    with psycopg.connect(database_url) as connection:
        query = "SELECT keys, sorts, p_requester, p_note_time, indexed, body::text FROM task"
        row = connection.execute(query + " WHERE tenant = %s", [tenant]).fetchall()[0]
    made = newer.indexer.row(tenant, "Task", orjson.loads(row[5]))
    hot = made.hot["p_requester"], made.hot["p_note_time"]
    assert row[:5] == (made.keys, made.sorts, *hot, made.fingerprint)


async def test_stopped_it_goes_on_where_it_was(core: Core, newer: Store, tenant: str) -> None:
    ids = await filled(core, tenant)
    assert await batch(newer, tenant, limit=2) == Batch(2, 2, "c001")
    steps = await run(newer, tenant)
    assert steps[-1].done == len(ids) - 2
    assert await found(newer, worker(tenant), ("note-text", "note")) == ids


async def test_a_tenant_is_renewed_alone(core: Core, newer: Store, tenant: str) -> None:
    other = tenant + "-other"
    await filled(core, tenant)
    ids = await filled(core, other)
    await run(newer, tenant)
    assert await stale(newer, other) == len(ids)
    assert await found(newer, worker(other), ("note-text", "note")) == []


async def test_what_an_older_server_wrote_meanwhile_is_found_again(
    core: Core, newer: Store, database_url: str, tenant: str
) -> None:
    await filled(core, tenant, 2)
    await run(newer, tenant)
    changed = task("c000", note=[{"text": "Other", "time": "2027-01-01"}])
    await put(core.interactions, worker(tenant), changed)
    assert await stale(newer, tenant) == 1
    await run(newer, tenant)
    assert values(database_url, tenant, "c000") == ["Other"]
    assert await found(newer, worker(tenant), ("note-time", "ge2027")) == ["c000"]


async def test_a_row_changed_meanwhile_keeps_its_new_values(
    core: Core, newer: Store, tenant: str
) -> None:
    """Read before the change, written after it."""
    await filled(core, tenant, 1)
    ctx = worker(tenant)
    async with newer.sessions.session(ctx) as session:
        rows = await newer.reindexer._following(session, "Task", "", 9)
    await put(core.interactions, ctx, task("c000", status="failed"))
    row = newer.indexer.row(tenant, "Task", orjson.loads(rows[0].body))
    async with newer.sessions.session(ctx) as session:
        assert await session.execute(*newer.reindexer._writer.reindex(tenant, rows[0], row)) == 0
    await run(newer, tenant)
    assert await found(newer, ctx, ("status", "failed")) == ["c000"]
    assert await found(newer, ctx, ("status", "completed")) == []


async def test_a_write_that_waited_for_a_reindexing_leaves_no_old_values(
    core: Core, newer: Store, database_url: str, tenant: str
) -> None:
    await filled(core, tenant, 1)
    ctx = worker(tenant)
    async with newer.sessions.session(ctx) as session, session.transaction():
        assert (await newer.reindexer.batch(session, ctx, "Task", "")).written == 1
        change = task("c000", note=[{"text": "Other"}])
        write = asyncio.create_task(put(core.interactions, ctx, change))
        await asyncio.sleep(0.3)
        assert not write.done()
    await write
    assert values(database_url, tenant, "c000") == []
    await run(newer, tenant)
    assert values(database_url, tenant, "c000") == ["Other"]


async def test_many_writers_and_a_reindexing_agree_in_the_end(
    core: Core, newer: Store, database_url: str, tenant: str
) -> None:
    ids = await filled(core, tenant, 20)

    async def write(n: int) -> None:
        for id in ids:
            await put(core.interactions, worker(tenant), task(id, note=[{"text": f"{id} {n}"}]))

    writers = asyncio.gather(*map(write, range(3)))
    while not writers.done():
        await run(newer, tenant)
    await writers
    await run(newer, tenant)
    for id in ids:
        stored = await core.interactions.read(worker(tenant), "Task", id)
        text = orjson.loads(stored.body)["note"][0]["text"]
        assert values(database_url, tenant, id) == [text]


async def test_a_row_being_written_is_neither_waited_for_nor_lost(
    core: Core, newer: Store, database_url: str, tenant: str
) -> None:
    ids = await filled(core, tenant)
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute(
            "SELECT 1 FROM task WHERE tenant = %s AND id = 'c001' FOR UPDATE", [tenant]
        )
        assert (await batch(newer, tenant)).written == len(ids) - 1
    await run(newer, tenant)
    assert await stale(newer, tenant) == 0
