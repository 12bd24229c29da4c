"""A transaction is whole or not at all, whichever of its statements fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
import pytest

from fhir_server.context import Context
from fhir_server.interactions import Condition, Entry, Interactions, Ref, Resource, Result
from fhir_server.interactions.plan import HERE
from fhir_server.problems import Problem
from fhir_server.store.session import Args, Row, Session
from tests.interactions.conftest import House
from tests.interactions.test_atomic import rows
from tests.support.clinic import refer, thread

SYSTEM = "https://example.org/mrn"
TALK = "urn:uuid:a1b2c3d4-0000-4000-8000-000000000000"


class FailedError(Exception):
    """What a statement that is made to fail raises."""


@contextmanager
def failing(at: int) -> Iterator[list[str]]:
    """The `at`-th statement from now on fails, whatever it is; what was run before it."""
    heard: list[str] = []
    fetch, execute, execute_all = Session.fetch, Session.execute, Session.execute_all

    def hear(sql: str) -> None:
        if "audit" in sql:  # The trail has a transaction of its own, after this one.
            return
        if len(heard) == at:
            raise FailedError
        heard.append(sql)

    async def fetched(self: Session, sql: str, args: Args | None = None) -> list[Row]:
        hear(sql)
        return await fetch(self, sql, args)

    async def executed(self: Session, sql: str, args: Args | None = None) -> int:
        hear(sql)
        return await execute(self, sql, args)

    async def executed_all(self: Session, statements: Any) -> list[int]:
        done: list[int] = []
        for sql, args in statements:
            hear(sql)
            done += await execute_all(self, [(sql, args)])
        return done

    methods = cast(Any, Session)
    methods.fetch, methods.execute, methods.execute_all = fetched, executed, executed_all
    try:
        yield heard
    finally:
        methods.fetch, methods.execute, methods.execute_all = fetch, execute, execute_all


def organization(number: int, **more: Any) -> Resource:
    identifier = [{"system": SYSTEM, "value": f"{number}"}]
    return {"resourceType": "Organization", "identifier": identifier, **more}


def numbered(number: int) -> Condition:
    return Condition("Organization", (("identifier", f"{SYSTEM}|{number}"),), lambda _: ())


def everything(house: House, ctx: Context) -> list[Entry]:
    """A deletion, creations that wait for each other, changes, conditions, references."""
    do = house.do.intents
    owner = f"Organization?identifier={SYSTEM}|2"
    message = {
        "resourceType": "Communication",
        "status": "in-progress",
        "partOf": refer(TALK),
        "payload": [{"contentString": "Hello"}],
    }
    sender = {"reference": "Practitioner/amina"}
    intents = [
        (do.delete(Ref("Organization", "gone")), None),
        (do.create("Communication", message | {"sender": sender}), None),
        (do.create("Communication", thread() | {"sender": sender}), TALK),
        (do.create("Organization", organization(2), condition=numbered(2)), None),
        (do.create("Organization", organization(3, partOf={"reference": owner})), None),
        (do.update(ctx, Ref("Organization", "kept"), organization(4, id="kept")), None),
        (do.update(ctx, Ref("Organization", "new"), organization(5, id="new")), None),
        (do.conditional_update(ctx, numbered(6), organization(6)), None),
    ]
    return [Entry(intent, full_url, HERE) for intent, full_url in intents]


async def read(interactions: Interactions, ctx: Context) -> bytes:
    return (await interactions.read(ctx, "Organization", "new")).body


async def run(house: House) -> tuple[list[Result], bytes]:
    ctx = house.service
    entries = everything(house, ctx)
    return await house.do.transaction(ctx, entries, lambda _: (), lambda do: read(do, ctx))


async def test_whichever_statement_fails_nothing_is_written(
    house: House, database_url: str
) -> None:
    for id in ("gone", "kept"):
        await house.put(organization(1, id=id))
    before, organizations = rows(database_url, house.tenant), stored(database_url, house.tenant)
    at, failed = 0, True
    while failed:
        with failing(at) as heard:
            try:
                results, seen = await run(house)
                failed = False
            except FailedError:
                assert rows(database_url, house.tenant) == before
                assert stored(database_url, house.tenant) == organizations
                at += 1
    assert at == len(heard) > 15
    assert [result.created for result in results] == [False, *[True] * 4, False, True, True]
    assert b'"new"' in seen
    after = rows(database_url, house.tenant)
    assert len(after["communication"]) == len(before["communication"]) + 2
    assert len(after["outbox"]) == len(before["outbox"]) + 2
    # The deleted version and its tombstone, and the changed one.
    assert len(after["history"]) == len(before["history"]) + 3


def stored(url: str, tenant: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        query = "SELECT t::text FROM organization t WHERE tenant = %s ORDER BY 1"
        return connection.execute(query, [tenant]).fetchall()


async def test_what_cannot_be_read_at_the_end_takes_all_back(
    house: House, database_url: str
) -> None:
    before = stored(database_url, house.tenant)
    intent = house.do.intents.create("Organization", organization(1))

    async def look(do: Interactions) -> bytes:
        await do.read(house.service, "Organization", intent.ref.id)
        return await read(do, house.service)

    entries = [Entry(intent, None, HERE)]
    with pytest.raises(Problem) as refusal:
        await house.do.transaction(house.service, entries, lambda _: (), look)
    assert refusal.value.status == 404
    assert stored(database_url, house.tenant) == before


async def nothing(_: Interactions) -> None:
    return None


async def test_conditions_race_for_one_resource(house: House) -> None:
    """Transactions that ask the same in other orders make one of each, and none waits forever."""

    async def one(turn: int) -> list[Result]:
        numbers = [1, 2, 3, 4][:: 1 if turn % 2 else -1]
        entries = [
            Entry(
                house.do.intents.create("Organization", organization(n), condition=numbered(n)),
                None,
                HERE,
            )
            for n in numbers
        ]
        found, _ = await house.do.transaction(house.service, entries, lambda _: (), nothing)
        return found

    done = await asyncio.gather(*(one(turn) for turn in range(24)))
    made = Counter(result.created for found in done for result in found)
    assert made == {True: 4, False: 92}


async def test_changes_race(house: House) -> None:
    """Each transaction changes the same resources; all get through, one after the other."""
    names = [f"o{n}" for n in range(5)]
    for id in names:
        await house.put(organization(1, id=id))

    async def one(turn: int) -> None:
        ctx = house.service
        entries = [
            Entry(
                house.do.intents.update(ctx, Ref("Organization", id), organization(turn, id=id)),
                None,
                HERE,
            )
            for id in names[:: 1 if turn % 2 else -1]
        ]
        await house.do.transaction(ctx, entries, lambda _: (), nothing)

    await asyncio.gather(*(one(turn) for turn in range(8)))
    for id in names:
        assert await house.versions("Organization", id) == list(range(9, 0, -1))
    pages = [await house.do.read(house.service, "Organization", id) for id in names]
    assert len({page.body.partition(b'"identifier"')[2] for page in pages}) == 1
