"""Laws of the audit trail over random trails: pages are the whole list, whatever is written
meanwhile; a filter finds what it says; an export is the list as it was when it began."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.app import Core, build_core
from fhir_server.context import Context
from fhir_server.fhir.instant import interval, now_text
from fhir_server.mapping.calls import Call, perform
from fhir_server.mapping.export import Export
from fhir_server.mapping.model import Format, PageDeclaration
from fhir_server.mapping.route import Route
from fhir_server.settings import Settings
from tests.support.audit_events import ACTIONS, BEGIN, audit_event, store
from tests.support.effort import effort

T = TypeVar("T")
Event = dict[str, Any]
Filters = dict[str, str]

PEOPLE = {
    "Practitioner/amina": "usr_amina",
    "Patient/zahra": "pat_zahra",
    "RelatedPerson/r": "rel_r",
}
PATIENTS = {"Patient/zahra": "pat_zahra", "Patient/omid": "pat_omid"}
THINGS = ("Encounter/e1", "Communication/c1", "Patient/zahra")
WORDS = {"C": "create", "R": "read", "U": "update", "D": "delete", "E": "execute"}
OUTCOMES = {"0": "success", "4": "refused", "8": "failed"}
# Few moments, so that many entries share one.
MOMENTS = [now_text(BEGIN + timedelta(hours=hours)) for hours in range(-30, 40, 7)]
LAW = settings(
    max_examples=effort(50),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

EVENTS = st.builds(
    audit_event,
    st.sampled_from(sorted(ACTIONS)),
    actor=st.sampled_from(sorted(PEOPLE)),
    client=st.sampled_from([None, None, "scheduling", "=cmd|'/c calc'!A0"]),
    roles=st.sampled_from([(), ("DOCTOR",), ("DOCTOR", "ADMIN")]),
    outcome=st.sampled_from(sorted(OUTCOMES)),
    reason=st.sampled_from([None, "forbidden", "+1", 'he said "no",\r\nand left']),
    recorded=st.sampled_from(MOMENTS),
    patient=st.lists(st.sampled_from(sorted(PATIENTS)), unique=True),
    resource=st.lists(st.sampled_from(THINGS), max_size=2, unique=True),
    query=st.sampled_from([None, "Patient?name=زهرا"]),
)
TRAILS = st.lists(EVENTS, min_size=1, max_size=12)
DAYS = ["2026-01-30", "2026-01-31", "2026-02", *MOMENTS]
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "patientId": st.sampled_from(sorted(PATIENTS.values())),
        "actorId": st.sampled_from(sorted(PEOPLE.values())),
        "action": st.sampled_from(sorted(WORDS.values())),
        "outcome": st.sampled_from(sorted(OUTCOMES.values())),
        "interaction": st.sampled_from(sorted(ACTIONS)),
        "resource": st.sampled_from(THINGS),
        "from": st.sampled_from(DAYS),
        "to": st.sampled_from(DAYS),
    },
)


@dataclass
class Trail:
    """The trail of a tenant, and an administrator who looks at it."""

    core: Core
    tenant: str = field(default_factory=lambda: f"t-{uuid4().hex[:12]}")
    kept: dict[str, Event] = field(default_factory=dict)

    async def add(self, events: Sequence[Event]) -> None:
        ids = await store(self.core, self.tenant, events)
        self.kept |= dict(zip(ids, events, strict=True))

    def call(self, asked: Filters) -> Call:
        ctx = Context(self.tenant, "admin", "Practitioner/admin", roles=frozenset({"ADMIN"}))
        return Call(replace(ctx, face="v1"), asked=list(asked.items()))

    async def list(self, **asked: str) -> dict[str, Any]:
        route = self.core.mappings.route("listAuditLogs")
        answer = await perform(self.core.interactions, route, self.call(asked))
        found: dict[str, Any] = orjson.loads(answer.body)
        return found

    def export(self, asked: Filters, format: Format, size: int) -> Export:
        """One that fetches `size` rows at a time."""
        route = self.core.mappings.route("exportAuditLogs")
        return Export(self.core.interactions, fetching(route, size), self.call(asked), format)

    def expected(self, asked: Filters) -> set[str]:
        """The ids of what the filters say, by looking at every event."""
        return {f"aud_{id}" for id, event in self.kept.items() if says(event, asked)}


def fetching(route: Route, size: int) -> Route:
    assert route.query is not None
    return replace(route, query=replace(route.query, page=PageDeclaration(limit=size, max=size)))


def says(event: Event, asked: Filters) -> bool:
    """Whether the event is what the filters ask for."""
    who = event["agent"][0]["who"].get("reference")
    whats = [e["what"].get("reference") for e in event.get("entity", ()) if "what" in e]
    low, high = interval(event["recorded"])
    tests: dict[str, Callable[[str], bool]] = {
        "patientId": lambda value: PATIENTS_BY_ID[value] in (who, *whats),
        "actorId": lambda value: PEOPLE.get(who) == value,
        "action": lambda value: WORDS[event["action"]] == value,
        "outcome": lambda value: OUTCOMES[event["outcome"]] == value,
        "interaction": lambda value: event["subtype"][0]["code"] == value,
        "resource": lambda value: value in whats,
        "from": lambda value: low >= interval(value)[0],
        "to": lambda value: high <= interval(value)[1],
    }
    return all(tests[name](value) for name, value in asked.items())


PATIENTS_BY_ID = {id: reference for reference, id in PATIENTS.items()}


class World:
    """Runs coroutines on one loop, with the server without HTTP."""

    def __init__(self, runner: asyncio.Runner, core: Core) -> None:
        self._runner = runner
        self.core = core

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)


@pytest.fixture(scope="module")
def world(settings_of_tests: Settings) -> Iterator[World]:
    with asyncio.Runner() as runner:
        built = build_core(settings_of_tests)
        # What the tests ask leaves no entries of its own in the trails that they look at.
        audit = built.interactions.audit.holding()
        core = replace(built, interactions=replace(built.interactions, audit=audit))
        runner.run(core.store.sessions.open())
        yield World(runner, core)
        runner.run(core.store.sessions.close())


async def of(core: Core, events: Sequence[Event]) -> Trail:
    """A trail of these, beside another tenant's of the same."""
    trail, other = Trail(core), Trail(core)
    await other.add(events)
    await trail.add(events)
    return trail


def ordered(items: Sequence[dict[str, Any]]) -> bool:
    moments = [item["recordedAt"] for item in items]
    return moments == sorted(moments, reverse=True)


async def pages(trail: Trail, asked: Filters, limit: int, late: Sequence[Event]) -> list[Any]:
    """All items, a page at a time, while one of `late` is written after each."""
    waiting, found = list(late), []
    page = await trail.list(**asked, limit=str(limit))
    while True:
        assert len(page["items"]) <= limit
        found += page["items"]
        if "nextCursor" not in page:
            return found
        if waiting:
            await store(trail.core, trail.tenant, [waiting.pop()])
        page = await trail.list(**asked, limit=str(limit), cursor=page["nextCursor"])


@LAW
@given(TRAILS, FILTERS, st.integers(1, 5), st.lists(EVENTS, max_size=4))
def test_pages_are_the_whole_list(
    world: World, events: list[Event], asked: Filters, limit: int, late: list[Event]
) -> None:
    async def law() -> None:
        trail = await of(world.core, events)
        whole = (await trail.list(**asked))["items"]
        assert {row["auditId"] for row in whole} == trail.expected(asked)
        assert ordered(whole)
        found = await pages(trail, asked, limit, late)
        assert ordered(found)
        ids = [row["auditId"] for row in found]
        assert len(set(ids)) == len(ids)
        assert [row for row in found if row["auditId"] in trail.expected(asked)] == whole

    world.run(law())


async def exported(trail: Trail, export: Export, late: Sequence[Event]) -> bytes:
    """The whole file; one of `late` happens and is written after each piece."""
    waiting, whole = list(late), b""
    async for chunk in export.chunks():
        whole += chunk
        if waiting:
            late_one = {**waiting.pop(), "recorded": now_text(datetime.now(UTC))}
            await store(trail.core, trail.tenant, [late_one])
    return whole


@LAW
@given(TRAILS, FILTERS, st.integers(1, 5), st.lists(EVENTS, max_size=4))
def test_an_export_is_the_list_as_it_was(
    world: World, events: list[Event], asked: Filters, size: int, late: list[Event]
) -> None:
    async def law() -> None:
        trail = await of(world.core, events)
        whole = (await trail.list(**asked))["items"]
        formats: tuple[Format, ...] = ("ndjson", "csv", "fhir")
        # All three began before anything else was written.
        begun = [trail.export(asked, format, size) for format in formats]
        lines, table, resources = [await exported(trail, one, late) for one in begun]
        assert [orjson.loads(line) for line in lines.splitlines()] == whole
        assert rows_of(table) == [flat(row) for row in whole]
        found = [orjson.loads(line) for line in resources.split(b"\n") if line]
        assert [f"aud_{one['id']}" for one in found] == [row["auditId"] for row in whole]

    world.run(law())


def rows_of(table: bytes) -> list[dict[str, str]]:
    """The rows of a CSV without its empty cells."""
    read = csv.DictReader(io.StringIO(table.decode(), newline=""), strict=True)
    return [{name: cell for name, cell in row.items() if cell} for row in read]


def flat(row: dict[str, Any]) -> dict[str, str]:
    """A v1 row as CSV has it: lists as JSON, and what looks like a formula behind an apostrophe."""
    return {
        name: orjson.dumps(value).decode()
        if isinstance(value, list)
        else "'" + value
        if value.startswith(("=", "+", "-", "@", "'"))
        else value
        for name, value in row.items()
    }
