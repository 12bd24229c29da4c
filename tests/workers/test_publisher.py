"""From the outbox to JetStream: nothing lost, nothing twice, each aggregate in its order."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import psycopg
import pytest
from jsonschema import Draft202012Validator
from nats.aio.msg import Msg

from fhir_server.app import Core
from fhir_server.cli import main
from fhir_server.fhir.ids import new_id
from fhir_server.settings import Settings
from fhir_server.workers import publisher as publishing
from fhir_server.workers.broker import Broker, BrokerDownError, Message, RefusedError
from fhir_server.workers.sweep import Keeping, sweep
from fhir_server.workers.tenants import worker
from tests.conftest import NewClinic, Token
from tests.support.clinic import Clinic, thread
from tests.support.nats import NatsServer, event, stored
from tests.support.server import listening

TYPE = "communication.thread.archived"
OURS = "ghasi.digital_communication.>"
OLD = "ghasi.messaging.>"


@dataclass
class Kept:
    """Stands for a broker: keeps what it is sent, or refuses it, or is away."""

    messages: list[Message] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    away: bool = False

    async def publish(self, message: Message) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise BrokerDownError
        if message.id.partition(":")[0] in self.refuses:
            raise RefusedError("NATS refused it: for the test")
        self.messages.append(message)

    @property
    def ids(self) -> list[str]:
        """Of events sent, in order."""
        return [m.id for m in self.messages if ":" not in m.id]


def happened(
    url: str, tenant: str, aggregates: int, each: int, data: dict[str, Any] | None = None
) -> list[str]:
    """The ids of events that committed, those of an aggregate among those of others."""
    rows = [
        (tenant, new_id(), TYPE, f"Communication/a{n % aggregates}", json.dumps(data or one(n)))
        for n in range(aggregates * each)
    ]
    insert = (
        "INSERT INTO outbox (tenant, id, type, subject, time, data)"
        " VALUES (%s, %s, %s, %s, now(), %s)"
    )
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(insert, rows)
    return [id for _, id, *_ in rows]


def one(n: int) -> dict[str, Any]:
    return {"threadId": f"thr_{n}"}


def left(url: str, tenant: str) -> int:
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM outbox WHERE tenant = %s AND published IS NULL"
        return int(connection.execute(query, [tenant]).fetchone()[0])  # type: ignore[index]


async def all_left(url: str, tenant: str) -> None:
    """Returns once nothing waits; TimeoutError after a long while."""
    for _ in range(2_000):
        if not left(url, tenant):
            return
        await asyncio.sleep(0.01)
    raise TimeoutError("events wait still")


async def of_tenant(server: NatsServer, tenant: str, subject: str = OURS) -> list[Msg]:
    return [m for m in await stored(server.url, subject) if event(m)["tenantid"] == tenant]


def in_order(messages: Sequence[Msg]) -> bool:
    """Every aggregate's events by number."""
    numbers = defaultdict[str, list[int]](list)
    for told in map(event, messages):
        numbers[told["subject"]].append(int(told["data"]["threadId"].removeprefix("thr_")))
    return all(a < b for own in numbers.values() for a, b in pairwise(own))


def count(committed: Sequence[str], messages: Sequence[Msg]) -> dict[str, int]:
    """The counts, printed."""
    delivered = Counter(event(message)["id"] for message in messages)
    counts = {
        "committed": len(committed),
        "delivered": len(messages),
        "lost": len(set(committed) - delivered.keys()),
        "duplicated": sum(delivered.values()) - len(delivered),
    }
    print(counts)  # noqa: T201 - read with pytest -s
    return counts


def flawless(committed: Sequence[str]) -> dict[str, int]:
    number = len(committed)
    return {"committed": number, "delivered": number, "lost": 0, "duplicated": 0}


@pytest.fixture(scope="module")
def server_url(settings_of_tests: Settings) -> Iterator[str]:
    """One that leaves its events to the tests."""
    with listening(settings_of_tests, moving=False) as address:
        yield address


async def test_every_event_once_and_in_order(
    core: Core, broker: Broker, server: NatsServer, database_url: str, tenant: str
) -> None:
    ids = happened(database_url, tenant, aggregates=13, each=50)
    assert await core.publisher(broker).round([tenant]) == len(ids)
    messages = await of_tenant(server, tenant)
    assert count(ids, messages) == flawless(ids)
    assert in_order(messages)
    assert left(database_url, tenant) == 0
    assert await core.publisher(broker).round([tenant]) == 0


async def test_it_is_a_cloud_event_as_published(
    core: Core, broker: Broker, server: NatsServer, new_clinic: NewClinic
) -> None:
    clinic = new_clinic()
    header = clinic.amina.created(thread())
    await core.publisher(broker).round([clinic.tenant])
    (message,) = await of_tenant(server, clinic.tenant)
    told = event(message)
    assert message.subject == "ghasi.digital_communication.thread.created"
    assert message.headers == {
        "Nats-Msg-Id": told["id"],
        "Content-Type": "application/cloudevents+json; charset=utf-8",
    }
    assert (told["specversion"], told["type"]) == ("1.0", "communication.thread.created")
    assert told["subject"] == f"Communication/{header['id']}"
    schema = core.mappings.events[told["type"]].schema
    assert list(Draft202012Validator(dict(schema)).iter_errors(told["data"])) == []
    (old,) = await of_tenant(server, clinic.tenant, OLD)
    assert (old.subject, event(old)) == ("ghasi.messaging.thread.created", told)


@pytest.mark.parametrize(
    ("type_", "day", "subjects"),
    [
        ("message.sent", date(2027, 6, 30), ["message.sent", "ghasi.messaging.message.sent"]),
        ("message.sent", date(2027, 7, 1), ["message.sent"]),
        (
            "virtual_session.ended",
            date(2027, 1, 1),
            ["virtual_session.ended", "VIRTUAL_CARE.ended"],
        ),
        ("other.thing", date(2027, 1, 1), ["other.thing"]),
    ],
)
def test_old_subjects_until_their_sunset(
    core: Core, type_: str, day: date, subjects: list[str]
) -> None:
    declared = core.mappings.service.events
    first, *old = subjects
    assert declared.subjects(f"communication.{type_}", day) == [f"{declared.subject}.{first}", *old]


async def test_killed_between_publishing_and_marking(
    core: Core, broker: Broker, server: NatsServer, database_url: str, tenant: str
) -> None:
    ids = happened(database_url, tenant, aggregates=3, each=4)
    command = [sys.executable, "-m", "tests.support.dying_publisher"]
    killed = await asyncio.to_thread(
        subprocess.run, [*command, database_url, server.url, tenant, "7"], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    before = await of_tenant(server, tenant)
    assert before
    assert left(database_url, tenant) == len(ids)
    # The lock goes when PostgreSQL has noticed that its client is gone.
    while left(database_url, tenant):
        await core.publisher(broker).round([tenant])
    messages = await of_tenant(server, tenant)
    assert count(ids, messages) == flawless(ids)
    assert in_order(messages)


async def test_two_publishers_at_once(
    core: Core, database_url: str, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_server.store.outbox.SHARE", 5)
    ids = happened(database_url, tenant, aggregates=40, each=5)
    kept = Kept()
    rounds = [core.publisher(kept).round([tenant]) for _ in range(2)]
    shares = await asyncio.gather(*rounds)
    assert sum(shares) == len(ids)
    assert min(shares) > 0, "one had all"
    assert Counter(kept.ids) == Counter(ids)
    place = {id: n for n, id in enumerate(kept.ids)}
    for first in range(40):
        own = [place[id] for id in ids[first::40]]
        assert own == sorted(own)


async def test_what_another_holds_is_left_to_him(
    core: Core, database_url: str, tenant: str
) -> None:
    """While one holds an aggregate, others go on with the rest, and not with what follows in it."""
    ids = happened(database_url, tenant, aggregates=2, each=3)
    kept = Kept()
    hold = (
        "SELECT FROM outbox WHERE tenant = %s AND id = %s FOR UPDATE",
        [tenant, ids[0]],
    )
    with psycopg.connect(database_url) as holder:
        holder.execute(*hold)
        assert await core.publisher(kept).round([tenant]) == 3
        assert kept.ids == ids[1::2]
    assert await core.publisher(kept).round([tenant]) == 3
    assert kept.ids == ids[1::2] + ids[0::2]


async def test_a_number_below_one_seen_is_not_lost(
    core: Core, database_url: str, tenant: str
) -> None:
    """Numbers are given before the commit: the earlier one may commit later."""
    insert = (
        "INSERT INTO outbox (tenant, id, type, subject, time, data)"
        ' VALUES (%s, %s, %s, %s, now(), \'{"threadId": "thr_1"}\')'
    )
    kept = Kept()
    with psycopg.connect(database_url) as slow:
        slow.execute(insert, [tenant, "slow", TYPE, "Communication/slow"])
        with psycopg.connect(database_url) as quick:
            quick.execute(insert, [tenant, "quick", TYPE, "Communication/quick"])
        await core.publisher(kept).round([tenant])
    await core.publisher(kept).round([tenant])
    assert kept.ids == ["quick", "slow"]


async def test_a_tenant_with_much_does_not_keep_others_waiting(
    core: Core, database_url: str, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_server.store.outbox.LOOK", 10)
    happened(database_url, tenant, aggregates=5, each=20)
    (small,) = happened(database_url, tenant + "-small", aggregates=1, each=1)
    kept = Kept()
    await core.publisher(kept).round([tenant, tenant + "-small"])
    assert kept.ids.index(small) <= 10
    assert len(kept.ids) == 101


async def test_away_and_back(
    core: Core, broker: Broker, server: NatsServer, database_url: str, tenant: str
) -> None:
    ids = happened(database_url, tenant, aggregates=4, each=10)
    await core.publisher(broker).round([tenant])
    server.stop()
    more = happened(database_url, tenant, aggregates=4, each=10)
    with pytest.raises(BrokerDownError):
        await core.publisher(broker).round([tenant])
    assert left(database_url, tenant) == len(more)
    async with core.publisher(broker).running(), asyncio.timeout(30):
        await asyncio.to_thread(server.start)
        await all_left(database_url, tenant)
    messages = await of_tenant(server, tenant)
    assert count([*ids, *more], messages) == flawless([*ids, *more])
    with psycopg.connect(database_url) as connection:
        tried = "SELECT max(tries) FROM outbox WHERE tenant = %s"
        assert connection.execute(tried, [tenant]).fetchone() == (0,)


def test_a_server_publishes_what_it_writes_at_once(
    server: NatsServer, settings_of_tests: Settings, token: Token
) -> None:
    settings = settings_of_tests.model_copy(update={"nats_url": server.url})
    with listening(settings) as address, httpx.Client(base_url=address) as http:
        clinic = Clinic(http, token)
        header = clinic.amina.created(thread())
        for _ in range(200):
            told = asyncio.run(of_tenant(server, clinic.tenant))
            if told:
                break
    (message,) = told
    assert event(message)["subject"] == f"Communication/{header['id']}"


async def test_it_hears_of_what_commits(core: Core, tenant: str, database_url: str) -> None:
    """Woken by the write, long before it would look for itself."""
    kept = Kept()
    system = worker(tenant)
    amina = {"resourceType": "Practitioner", "id": "amina"}
    await core.interactions.update(system, "Practitioner", "amina", amina)
    zahra = {"resourceType": "Patient", "id": "zahra"}
    await core.interactions.update(system, "Patient", "zahra", zahra)
    async with (
        core.store.doorbell.ringing(),
        aclosing(core.store.doorbell.heard()) as heard,
        core.publisher(kept).running(every=3600),
        asyncio.timeout(20),
    ):
        assert await anext(heard) is None
        made = thread("Practitioner/amina", sender={"reference": "Practitioner/amina"})
        await core.interactions.create(system, "Communication", made)
        assert await anext(heard) == tenant
        await all_left(database_url, tenant)
    assert (len(kept.ids), left(database_url, tenant)) == (1, 0)


async def test_poison_is_a_dead_letter_and_replayed(
    core: Core,
    database_url: str,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = {"threadId": "thr_1", "body": "Bad news"}
    (poison,) = happened(database_url, tenant, aggregates=1, each=1, data=secret)
    (good,) = happened(database_url, tenant, aggregates=1, each=1)
    kept = Kept()
    await core.publisher(kept).round([tenant])
    assert kept.ids == [good]
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", database_url)
    assert await asyncio.to_thread(main, ["events", "dead", "--tenant", tenant]) == 0
    letter = json.loads(capsys.readouterr().out)
    assert (letter["id"], letter["tenantid"]) == (poison, tenant)
    assert letter["failure"] == "the data does not meet `additionalProperties` of its schema"
    with psycopg.connect(database_url) as connection:
        change = 'UPDATE outbox SET data = \'{"threadId": "thr_1"}\' WHERE id = %s'
        connection.execute(change, [poison])
    replay = ["events", "replay", "--tenant", tenant, "--id", poison]
    assert await asyncio.to_thread(main, replay) == 0
    assert capsys.readouterr().out == "1 events wait to be published again.\n"
    await core.publisher(kept).round([tenant])
    assert kept.ids == [good, poison]


async def test_what_is_refused_again_and_again_dies_and_the_rest_goes_on(
    core: Core, database_url: str, tenant: str
) -> None:
    bad, good = happened(database_url, tenant, aggregates=1, each=2)
    kept = Kept(refuses={bad})
    publisher = core.publisher(kept)
    for _ in range(publishing.TRIES):
        assert kept.ids == []
        await publisher.round([tenant])
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE outbox SET retry = now() WHERE tenant = %s", [tenant])
    assert kept.ids == [good]
    async with core.store.sessions.session(worker(tenant)) as session:
        (letter,) = await core.store.outbox.dead(session)
    assert (letter.event.id, letter.tries) == (bad, publishing.TRIES)
    assert letter.failure == "NATS refused it: for the test"


async def test_one_that_rests_keeps_its_aggregate_back_only(
    core: Core, database_url: str, tenant: str
) -> None:
    ids = happened(database_url, tenant, aggregates=2, each=2)
    kept = Kept(refuses={ids[0]})
    await core.publisher(kept).round([tenant])
    assert kept.ids == ids[1::2]
    kept.refuses.clear()
    await core.publisher(kept).round([tenant])
    assert kept.ids == ids[1::2], "it has not rested long enough"


async def test_published_events_go_after_a_time_and_others_stay(
    core: Core, database_url: str, tenant: str
) -> None:
    happened(database_url, tenant, aggregates=2, each=2)
    await core.publisher(Kept()).round([tenant])
    happened(database_url, tenant, aggregates=1, each=1)
    with psycopg.connect(database_url) as connection:
        old = datetime.now(UTC) - timedelta(days=8)
        connection.execute("UPDATE outbox SET time = %s WHERE tenant = %s", [old, tenant])
        aged = "UPDATE outbox SET published = %s WHERE tenant = %s AND published IS NOT NULL"
        connection.execute(aged, [old, tenant])
    await sweep(core.store, [tenant], Keeping(timedelta(days=9)))
    assert rows(database_url, tenant) == 5
    await sweep(core.store, [tenant], Keeping(timedelta(days=7)))
    assert rows(database_url, tenant) == left(database_url, tenant) == 1


def rows(url: str, tenant: str) -> int:
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM outbox WHERE tenant = %s"
        return int(connection.execute(query, [tenant]).fetchone()[0])  # type: ignore[index]
