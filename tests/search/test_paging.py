"""Pages there and back, and while others write."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.problems import Problem
from fhir_server.store.search import Page
from fhir_server.store.search.statement import ENOUGH
from fhir_server.store.stored import Stored
from fhir_server.store.write import Change
from tests.search.bench import Bench, Pairs, service
from tests.search.test_laws import LAW, SORTS
from tests.search.worlds import worlds
from tests.support.effort import effort

KIND = "Communication"
PEOPLE = tuple(f"Patient/p{n}" for n in range(3))
MANY = 10_400


async def page(bench: Bench, tenant: str, params: Pairs, cursor: str | None = None) -> Page:
    at = [("_cursor", cursor)] if cursor else []
    return await bench.page(service(tenant), KIND, [*params, *at])


def ids(found: Page) -> list[str]:
    return [stored.id for stored in found.matches]


async def forward(bench: Bench, tenant: str, params: Pairs) -> list[Page]:
    """Every page from the first."""
    pages = [await page(bench, tenant, params)]
    while pages[-1].next is not None:
        pages.append(await page(bench, tenant, params, pages[-1].next))
    return pages


async def backward(bench: Bench, tenant: str, params: Pairs) -> list[Page]:
    """Every page from the last."""
    first = await page(bench, tenant, params)
    pages = [await page(bench, tenant, params, first.around.last)]
    while pages[-1].around.previous is not None:
        pages.append(await page(bench, tenant, params, pages[-1].around.previous))
    return pages


def asked(sort: str, count: int, *, part_of: bool) -> list[tuple[str, str]]:
    params = [("_count", str(count)), *([("_sort", sort)] if sort else [])]
    return [*params, ("part-of", "Communication/c0,Communication/c1")] if part_of else params


@LAW
@given(world=worlds(), sort=SORTS, count=st.integers(1, 3), part_of=st.booleans())
async def test_the_way_back_is_the_way_there(
    bench: Bench, world: list[dict[str, Any]], sort: str, count: int, *, part_of: bool
) -> None:
    tenant, params = uuid4().hex, asked(sort, count, part_of=part_of)
    await bench.put(tenant, world)
    pages = await forward(bench, tenant, params)
    for before, after in itertools.pairwise(pages):
        assert ids(await page(bench, tenant, params, after.around.previous)) == ids(before)
    whole = [id for found in pages for id in ids(found)]
    reverse = await backward(bench, tenant, params)
    assert [id for found in reversed(reverse) for id in ids(found)] == whole
    assert ids(reverse[0]) == whole[-count:]
    assert (pages[0].around.previous, reverse[0].next) == (None, None)
    for after, before in itertools.pairwise(reverse):
        assert ids(await page(bench, tenant, params, before.next)) == ids(after)


def message(id: str, at: int | None) -> dict[str, Any]:
    sent = {} if at is None else {"sent": f"2026-01-01T00:00:{at:02}Z"}
    status = {} if at is None or at % 3 == 0 else {"status": ("completed", "preparation")[at % 2]}
    found = {"resourceType": KIND, "id": id, "subject": {"reference": PEOPLE[0]}}
    return {**found, **sent, **status}


async def delete(bench: Bench, tenant: str, id: str) -> None:
    gone = Stored(KIND, id, 2, datetime.now(UTC), b"")
    sql, args = bench.writer.statement(tenant, [Change("delete", gone, None, 1)], [], [], None)
    async with bench.sessions.session(service(tenant)) as session:
        assert await session.fetch(sql, args)


MOMENTS = st.one_of(st.none(), st.integers(0, 9))
# Between two pages: messages that come, and how many of those that may go do.
WRITES = st.lists(st.tuples(st.lists(MOMENTS, max_size=3), st.integers(0, 2)), max_size=12)


@settings(
    deadline=None,
    max_examples=effort(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    stay=st.lists(MOMENTS, min_size=1, max_size=8),
    go=st.lists(MOMENTS, max_size=6),
    writes=WRITES,
    sort=st.sampled_from(
        ["", "sent", "-sent", "status,-sent", "-status", "-sent,status,-_id", "_id", "-status,_id"]
    ),
    count=st.integers(1, 3),
    driven=st.booleans(),
    back=st.booleans(),
)
async def test_what_stays_is_seen_once_whatever_is_written_meanwhile(
    bench: Bench, stay: list[int | None], go: list[int | None],
    writes: list[tuple[list[int | None], int]], sort: str, count: int, *, driven: bool, back: bool,
) -> None:  # fmt: skip
    tenant = uuid4().hex
    staying = [f"{n}-stays" for n in range(len(stay))]
    going = [f"{n}-goes" for n in range(len(go))]
    wanted = zip([*staying, *going], [*stay, *go], strict=True)
    await bench.put(tenant, [message(id, at) for id, at in wanted])
    params = [("_count", str(count)), *([("_sort", sort)] if sort else [])]
    params += [("subject", PEOPLE[0])] if driven else []
    before = await bench.ids(service(tenant), KIND, params)
    seen: list[str] = []
    found = await page(bench, tenant, params)
    found = await page(bench, tenant, params, found.around.last) if back else found
    pending = list(writes)
    while True:
        seen = [*ids(found), *seen] if back else [*seen, *ids(found)]
        if pending:
            come, gone = pending.pop()
            await bench.put(tenant, [message(f"{at}-{uuid4().hex}", at) for at in come])
            for _ in range(min(gone, len(going))):
                await delete(bench, tenant, going.pop())
        further = found.around.previous if back else found.next
        if further is None:
            break
        found = await page(bench, tenant, params, further)
    assert len(seen) == len(set(seen))
    stayed = set(staying)
    assert [id for id in seen if id in stayed] == [id for id in before if id in stayed]


async def test_pages_while_others_write(bench: Bench) -> None:
    tenant, params = uuid4().hex, [("_sort", "-sent"), ("_count", "7")]
    await bench.put(tenant, [message(f"s{n}", n % 60) for n in range(120)])
    before = await bench.ids(service(tenant), KIND, params)
    done = asyncio.Event()

    async def write() -> int:
        n = 0
        while not done.is_set():
            await bench.put(tenant, [message(f"w{n}", n % 60)])
            if n % 2:
                await delete(bench, tenant, f"w{n}")
            n += 1
        return n

    writing = asyncio.create_task(write())
    there = [id for found in await forward(bench, tenant, params) for id in ids(found)]
    back = [id for found in await backward(bench, tenant, params) for id in reversed(ids(found))]
    done.set()
    assert await writing > 0
    for seen in (there, back[::-1]):
        assert len(seen) == len(set(seen))
        assert [id for id in seen if id.startswith("s")] == before


async def test_before_a_row_that_is_gone_there_is_the_first_page(bench: Bench) -> None:
    tenant, params = uuid4().hex, [("_count", "1"), ("_sort", "sent")]
    await bench.put(tenant, [message(f"m{n}", n) for n in range(3)])
    second = await page(bench, tenant, params, (await page(bench, tenant, params)).next)
    await delete(bench, tenant, "m0")
    empty = await page(bench, tenant, params, second.around.previous)
    assert (ids(empty), empty.next, empty.around.previous) == ([], "", None)
    await delete(bench, tenant, "m2")
    end = await page(bench, tenant, params, second.next)
    assert (ids(end), end.next) == ([], None)
    assert ids(await page(bench, tenant, params, end.around.previous)) == ["m1"]


async def test_every_cursor_is_of_its_search_only(bench: Bench) -> None:
    tenant, params = uuid4().hex, [("_count", "1")]
    await bench.put(tenant, [message(f"m{n}", n) for n in range(3)])
    second = await page(bench, tenant, params, (await page(bench, tenant, params)).next)
    for cursor in second.around:
        assert cursor
        assert (await page(bench, tenant, params, cursor)).matches
        for other, asks in ((tenant, [("_sort", "-_id")]), (tenant, [("sent", "ge2020")])):
            with pytest.raises(Problem) as caught:
                await page(bench, other, asks, cursor)
            assert caught.value.issues[0].expression == "_cursor"
        with pytest.raises(Problem):
            await page(bench, uuid4().hex, params, cursor)


async def fill(bench: Bench, tenant: str) -> None:
    """So many messages of one patient: one that was indexed, again and again."""
    await bench.put(tenant, [message("m", 0)])
    columns = [c.name for c in bench.tables.resources[KIND].current.columns]
    moved = {
        "id": "id || lpad(n::text, 6, '0')",
        "p_sent": "CASE WHEN n % 100 = 0 THEN NULL ELSE p_sent + n / 3 * interval '1 second' END",
    }
    copied = ", ".join(moved.get(name, name) for name in columns)
    async with bench.sessions.session(service(tenant)) as session:
        await session.execute(
            f"INSERT INTO communication ({', '.join(columns)}) SELECT {copied}"
            f" FROM communication, generate_series(1, {MANY - 1}) AS n WHERE id = 'm'"
        )


async def test_more_than_ten_thousand_each_once_at_one_price(bench: Bench) -> None:
    large = uuid4().hex
    await fill(bench, large)
    params = [("subject", PEOPLE[0]), ("_sort", "-sent"), ("_count", "1000")]
    there = await forward(bench, large, params)
    back = await backward(bench, large, params)
    found = [id for one in there for id in ids(one)]
    assert len(found) == len(set(found)) == MANY
    assert [id for one in reversed(back) for id in ids(one)] == found
    few = [*params[:2], ("_count", "10")]
    first = await _blocks(bench, large, few)
    for deep in (there[5].next, there[-1].around.previous, there[0].around.last):
        cursor = [("_cursor", deep or "")]
        assert await _blocks(bench, large, [*few, *cursor]) <= 2 * first + 10


async def _blocks(bench: Bench, tenant: str, params: Pairs) -> int:
    """Blocks that a page's statement touches."""
    query = bench.planner.plan(service(tenant), KIND, params)
    async with bench.sessions.session(service(tenant)) as session:
        sql = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query.sql}"
        plan = orjson.loads((await session.fetch(sql, query.args))[0][0])[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_an_estimate_is_exact_where_all_is_on_the_page(bench: Bench) -> None:
    tenant = uuid4().hex
    await bench.put(tenant, [message(f"m{n}", n) for n in range(5)])
    for count in (5, 9):
        found = await page(bench, tenant, [("_count", str(count)), ("_total", "estimate")])
        assert found.total == 5
    for status, wanted in (("completed", 2), ("none", 0)):
        asks = [("_total", "estimate"), ("status", status)]
        assert (await page(bench, tenant, asks)).total == wanted


@LAW
@given(
    world=worlds(),
    count=st.integers(1, 3),
    criteria=st.lists(
        st.sampled_from(
            [
                ("part-of", "Communication/c0,Communication/c1"),
                ("sent", "ge2026"),
                ("subject:Patient.active", "true"),
                ("_has:Communication:part-of:status:not", "completed"),
                ("category:not", "x"),
            ]
        ),
        max_size=2,
    ),
)
async def test_an_estimate_is_exact_where_there_are_few(
    bench: Bench, world: list[dict[str, Any]], count: int, criteria: list[tuple[str, str]]
) -> None:
    tenant = uuid4().hex
    await bench.put(tenant, world)
    params = [*criteria, ("_count", str(count)), ("_total", "estimate")]
    exact = len(await bench.ids(service(tenant), KIND, [*criteria, ("_count", "1000")]))
    assert {one.total for one in await forward(bench, tenant, params)} == {exact}


async def test_an_estimate_ends_where_there_are_many(bench: Bench) -> None:
    tenant = uuid4().hex
    await fill(bench, tenant)
    found = await page(bench, tenant, [("subject", PEOPLE[0]), ("_total", "estimate")])
    assert found.total == ENOUGH < MANY
