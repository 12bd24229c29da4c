"""Records wait, are written together, and are never dropped: a full buffer, a database that is
away, a stop, both modes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, LiteralString
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql

from fhir_server.app import Core, build_core
from fhir_server.context import Context
from fhir_server.interactions import Asked, Entry
from fhir_server.interactions.audit.event import Events
from fhir_server.interactions.audit.record import Given, Record
from fhir_server.interactions.audit.trail import FullError, Pace, Trail
from fhir_server.interactions.plan import HERE
from fhir_server.problems import Problem, forbidden
from fhir_server.settings import Settings
from fhir_server.workers.tenants import worker
from tests.audit.conftest import NewBook
from tests.conftest import NewDatabase, Token
from tests.support.effort import effort
from tests.support.server import listening

SOON = Pace(every=0.01, patience=0.3, grace=1.0)


def record(tenant: str, n: int = 0) -> Record:
    ctx = Context(tenant, "usr_amina", "Practitioner/amina", roles=frozenset({"DOCTOR"}))
    return Record(ctx, "read", Given((f"Communication/c{n}/_history/1",)))


def trail_of(core: Core, pace: Pace) -> Trail:
    store = core.store
    return Trail(store.sessions, store.chain, Events(store.audit_columns), pace)


async def until(there: Callable[[], object]) -> None:
    """Waits for that."""
    async with asyncio.timeout(30):
        while not there():  # noqa: ASYNC110 - it is about another connection's rows
            await asyncio.sleep(0.01)


async def test_what_gathers_is_written_as_one_link(core: Core, tenant: str, book: NewBook) -> None:
    trail = trail_of(core, replace(SOON, every=0.2))
    async with trail.running():
        for n in range(7):
            await trail.add([record(tenant, n)])
        assert book(tenant).events() == []
    told = [e["entity"][0]["what"]["reference"] for e in book(tenant).events()]
    assert told == [f"Communication/c{n}/_history/1" for n in range(7)]
    ctx = Context(tenant, "tests", face="job")
    *_, last = [p async for p in core.store.verifier.verify(ctx)]
    assert last.links == 1


async def test_a_full_batch_does_not_wait(core: Core, tenant: str, book: NewBook) -> None:
    trail = trail_of(core, replace(SOON, every=60, batch=5))
    async with trail.running():
        await trail.add([record(tenant, n) for n in range(5)])
        await until(book(tenant).events)


async def test_strict_waits_for_every_record(core: Core, tenant: str, book: NewBook) -> None:
    trail = trail_of(core, replace(SOON, mode="strict", every=60, patience=10))
    async with trail.running():
        await asyncio.gather(*(trail.add([record(tenant, n)]) for n in range(20)))
        assert len(book(tenant).events()) == 20


async def test_a_stop_writes_what_is_left(core: Core, tenant: str, book: NewBook) -> None:
    trail = trail_of(core, replace(SOON, every=60))
    async with trail.running():
        await trail.add([record(tenant, n) for n in range(3)])
        assert book(tenant).events() == []
    assert len(book(tenant).events()) == 3


class Elsewhere:
    """A database that can be taken away from everyone who uses it, and given back."""

    def __init__(self, owner: psycopg.Connection[Any], url: str) -> None:
        self._owner = owner
        self._name = urlsplit(url).path.strip("/")

    def take(self) -> None:
        """Nobody gets in, and whoever is in is thrown out."""
        self._allow("false")
        self.cut()

    def cut(self) -> None:
        """Breaks every connection."""
        cutting = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        self._owner.execute(cutting, [self._name])

    def give(self) -> None:
        self._allow("true")

    def _allow(self, state: LiteralString) -> None:
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS " + state)
        self._owner.execute(statement.format(sql.Identifier(self._name)))


@pytest.fixture
async def apart(
    new_database: NewDatabase, postgres_url: str, settings_of_tests: Settings
) -> AsyncIterator[tuple[Core, Elsewhere, Settings]]:
    """A server's core on a database of its own."""
    url = new_database()
    chosen = settings_of_tests.model_copy(update={"database_url": url, "pool_timeout": 0.5})
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        core, elsewhere = build_core(chosen), Elsewhere(owner, url)
        await core.store.sessions.open()
        yield core, elsewhere, chosen
        elsewhere.give()
        await core.store.sessions.close()


async def stored(core: Core, tenant: str) -> int:
    """How many events there are, in an intact chain."""
    ctx = Context(tenant, "tests", face="job")
    found = [p async for p in core.store.verifier.verify(ctx)]
    assert [fault for progress in found for fault in progress.faults] == []
    return found[-1].events


async def test_records_wait_while_the_database_is_away(
    apart: tuple[Core, Elsewhere, Settings], tenant: str
) -> None:
    core, elsewhere, _ = apart
    trail = trail_of(core, replace(SOON, room=5))
    async with trail.running():
        elsewhere.take()
        for n in range(5):
            await trail.add([record(tenant, n)])
        assert trail.full
        with pytest.raises(Problem) as refused:
            await trail.room()
        assert refused.value.status == 503
        elsewhere.give()
        await until(lambda: not trail.full)
    assert await stored(core, tenant) == 5


async def test_strict_refuses_what_is_not_committed_and_keeps_it(
    apart: tuple[Core, Elsewhere, Settings], tenant: str
) -> None:
    core, elsewhere, _ = apart
    trail = trail_of(core, replace(SOON, mode="strict", grace=30))
    async with trail.running():
        elsewhere.take()
        with pytest.raises(Problem) as refused:
            await trail.add([record(tenant)])
        assert refused.value.status == 503
        elsewhere.give()
    assert await stored(core, tenant) == 1


async def test_those_who_wait_for_room_get_in(core: Core, tenant: str) -> None:
    trail = trail_of(core, replace(SOON, room=3, every=60, patience=10))
    async with trail.running():
        for n in range(10):
            await trail.room()
            await trail.add([record(tenant, n)])
    assert await stored(core, tenant) == 10


async def test_connections_that_break_lose_and_double_nothing(
    apart: tuple[Core, Elsewhere, Settings], tenant: str
) -> None:
    core, elsewhere, _ = apart
    trail = trail_of(core, replace(SOON, every=0.001, batch=7, patience=30, grace=30))
    count = effort(300)
    async with trail.running():
        for n in range(count):
            await trail.add([record(tenant, n)])
            if n % 40 == 0:
                await asyncio.to_thread(elsewhere.cut)
    assert await stored(core, tenant) == count


async def test_a_stop_without_a_database_says_what_is_lost(
    apart: tuple[Core, Elsewhere, Settings], tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    core, elsewhere, _ = apart
    trail = trail_of(core, replace(SOON, every=60, grace=0.2))
    async with trail.running():
        elsewhere.take()
        await trail.add([record(tenant)])
    assert "1 audit records are lost" in caplog.text
    assert tenant not in caplog.text


@pytest.mark.parametrize("mode", ["batched", "strict"])
def test_a_server_that_stops_has_written_everything(
    settings_of_tests: Settings, token: Token, tenant: str, book: NewBook, mode: str
) -> None:
    authorization = f"Bearer {token(tenant, 'usr_service', 'SERVICE')}"
    with (
        listening(settings_of_tests.model_copy(update={"audit": mode})) as address,
        httpx.Client(base_url=address, headers={"authorization": authorization}) as http,
    ):
        for n in range(10):
            assert http.get("/fhir/R4/Patient?_count=1").status_code == 200
            if mode == "strict":
                assert len(book(tenant).events()) == n + 1
        made = http.put("/fhir/R4/Patient/p", json={"resourceType": "Patient", "id": "p"})
        assert made.status_code == 201
    assert len(book(tenant).events()) == 11


def test_what_cannot_be_recorded_is_refused(
    new_database: NewDatabase, settings_of_tests: Settings, token: Token, tenant: str
) -> None:
    """All works but the trail's own table."""
    url = new_database()
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("ALTER TABLE audit_link RENAME TO audit_link_away")
        authorization = f"Bearer {token(tenant, 'usr_service', 'SERVICE')}"
        chosen = settings_of_tests.model_copy(update={"audit": "strict", "database_url": url})
        with (
            listening(chosen) as address,
            httpx.Client(base_url=address, headers={"authorization": authorization}) as http,
        ):
            http.timeout = 30
            answer = http.get("/fhir/R4/Patient?_count=1")
            assert answer.status_code == 503
            assert answer.json()["issue"][0]["code"] == "transient"
            owner.execute("ALTER TABLE audit_link_away RENAME TO audit_link")
            assert http.get("/fhir/R4/Patient?_count=1").status_code == 200
        found = owner.execute("SELECT body->>'outcome' FROM auditevent").fetchall()
        assert found == [("0",), ("0",)]


async def test_a_worker_is_recorded_as_the_server(core: Core, tenant: str, book: NewBook) -> None:
    ctx = worker(tenant)
    await core.interactions.update(ctx, "Patient", "p", {"resourceType": "Patient", "id": "p"})
    await core.interactions.search(ctx, "Patient", [("_id", "p")])
    await core.interactions.search(ctx, "Patient", [("_id", "nobody")])
    with pytest.raises(Problem):
        await core.interactions.read(ctx, "Patient", "nobody")
    found = book(tenant).events()
    assert [e["action"] for e in found] == ["U", "E", "R"]
    assert {e["agent"][0]["who"]["identifier"]["value"] for e in found} == {"fhir-server"}
    assert found[1]["entity"][0]["what"] == {"reference": "Patient/p"}
    assert found[2]["outcomeDesc"] == "not-found"


async def test_what_is_cut_off_is_recorded(
    core: Core, tenant: str, book: NewBook, database_url: str
) -> None:
    """Both a read and a transaction's writes wait for a table that somebody has locked."""
    interactions = core.interactions
    ctx = Context(tenant, "usr_service", roles=frozenset({"SERVICE"}))
    intent = interactions.intents.create("Patient", {"resourceType": "Patient"})
    entry = Entry(intent, None, HERE)
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE patient IN ACCESS EXCLUSIVE MODE")
        for asked in (
            interactions.read(ctx, "Patient", "p"),
            interactions.transaction(ctx, [entry], lambda _: None, nothing),
        ):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asked, 0.5)
    await interactions.audit.trail.settled()
    found = book(tenant).events()
    told = [(e["subtype"][0]["code"], e["outcome"], e["outcomeDesc"]) for e in found]
    assert told == [("read", "8", "timeout"), ("create", "8", "timeout")]


async def nothing(_: object) -> None:
    """Of what a transaction could read."""


async def test_refusals_take_no_more_room_than_there_is(
    apart: tuple[Core, Elsewhere, Settings], tenant: str
) -> None:
    core, elsewhere, _ = apart
    trail = trail_of(core, replace(SOON, room=5))
    audit = replace(core.interactions.audit, trail=trail)
    asked, refusal = Asked(Context(tenant, "usr_amina"), "read"), forbidden("no")
    async with trail.running():
        elsewhere.take()
        for _ in range(5):
            await audit.unless_told(asked, refusal)
        with pytest.raises(FullError) as full:
            await audit.unless_told(asked, refusal)
        # The refusal for want of room leaves no record itself.
        await audit.unless_told(asked, full.value)
        elsewhere.give()
    assert await stored(core, tenant) == 5
