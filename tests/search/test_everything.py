"""A compartment is what looking at every resource finds: its pages, and what they refer to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.context import Context
from fhir_server.fhir.instant import interval
from fhir_server.problems import Problem
from fhir_server.store.everything import Compartment, Wanted
from fhir_server.store.span import Span
from fhir_server.store.stored import Stored
from fhir_server.store.values.dates import BEGINNING, END
from tests.search.bench import KEY, Bench, service
from tests.search.naive import Naive
from tests.search.test_access import CALLER, SELF, Eyes, doctor, members, participants, patient
from tests.search.worlds import DATES, PATIENTS, access_worlds, encounters
from tests.support.effort import effort

Resource = Mapping[str, Any]
DAYS = st.sampled_from([date for date in DATES if "T" not in date])
CARE = {"Communication": "sent", "Encounter": "date", "CareTeam": "date"}
# Of the types that these worlds have.
INSIDE = ("CareTeam", "Communication", "Encounter", "Patient")
OUTSIDE = ("Practitioner",)
MOST_PAGES = 50


@st.composite
def charts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Patients with care teams, communications and encounters, and their practitioners."""
    found = draw(access_worlds())
    for n, encounter in enumerate(draw(st.lists(encounters(), max_size=3))):
        found.append({**encounter, "id": f"e{n}"})
    found += [{"resourceType": "Practitioner", "id": f"d{n}"} for n in range(3)]
    for resource in found:
        if resource["resourceType"] == "Patient" and resource["id"] != "p0":
            resource["link"] = [{"other": {"reference": "Patient/p0"}, "type": "seealso"}]
        resource.setdefault("meta", {}).setdefault("lastUpdated", draw(st.sampled_from(MOMENTS)))
    return found


MOMENTS = [date for date in DATES if date.endswith(("59.999Z", "00.000Z"))]


class Question(NamedTuple):
    start: str | None
    end: str | None
    since: str | None
    types: frozenset[str] | None
    size: int

    def wanted(self, owner: str) -> Wanted:
        low = interval(self.start)[0] if self.start else BEGINNING
        high = interval(self.end)[1] if self.end else END
        since = datetime.fromisoformat(self.since) if self.since else BEGINNING
        return Wanted(owner, Span(since, low, high), self.types)


QUESTIONS = st.builds(
    Question,
    st.none() | DAYS,
    st.none() | DAYS,
    st.none() | st.sampled_from(MOMENTS),
    st.none() | st.sets(st.sampled_from((*INSIDE, *OUTSIDE)), min_size=1).map(frozenset),
    st.integers(1, 4),
)


class Rights(Eyes):
    """What a doctor, a patient and a backend may see, of every type here."""

    def sees(self, ctx: Context, resource: Resource) -> bool:
        if ctx.is_system or resource["resourceType"] == "Practitioner":
            return True
        subject: str = resource.get("subject", {}).get("reference", "")
        if "PATIENT" in ctx.roles:
            mine = {
                "Communication": SELF in participants(resource),
                "Patient": f"Patient/{resource['id']}" == SELF,
            }
            return mine.get(resource["resourceType"], subject == SELF)
        seen = {
            "Communication": self.doctor(resource),
            "Patient": self.chart(f"Patient/{resource['id']}"),
            "CareTeam": self.plain(subject) or CALLER in members_of(resource),
        }
        return seen.get(resource["resourceType"], self.chart(subject))

    def plain(self, subject: str) -> bool:
        """A patient whose chart is open to all clinicians."""
        found = self.world.get(subject)
        labels = (found or {}).get("meta", {}).get("security", ())
        return found is not None and not any(label["code"] in "RV" for label in labels)


def members_of(resource: Resource) -> set[str]:
    return members(resource) if "participant" in resource else set()


class Slow:
    """The answer of looking at every resource."""

    def __init__(self, bench: Bench, ctx: Context, world: list[dict[str, Any]]) -> None:
        self.naive = Naive(bench.definitions.types, world)
        self.compartments = bench.definitions.compartments
        self.rights, self.ctx, self.world = Rights(world), ctx, world

    def records(self, owner: str, asked: Question) -> list[str]:
        found = [r for r in self.world if self._belongs(owner, r) and self._wanted(r, asked)]
        own = self.naive.resources[owner]
        first = [owner] if self._fresh(own, asked) else []
        return [*first, *sorted(f"{r['resourceType']}/{r['id']}" for r in found)]

    def supporting(self, records: list[str], asked: Question) -> set[str]:
        types = set(OUTSIDE) if asked.types is None else set(OUTSIDE) & asked.types
        texts = [orjson.dumps(self.naive.resources[one]).decode() for one in records]
        return {
            f"{r['resourceType']}/{r['id']}"
            for r in self.world
            if r["resourceType"] in types
            if any(f'"{r["resourceType"]}/{r["id"]}"' in text for text in texts)
        }

    def _belongs(self, owner: str, resource: Resource) -> bool:
        kind = resource["resourceType"]
        if f"{kind}/{resource['id']}" == owner:
            return False
        codes = self.compartments[owner.partition("/")[0]].get(kind, ())
        held = [v for code in codes if code != "{def}" for v in self.naive.values(resource, code)]
        mine = any(value.get("reference") == owner for value in held)
        return mine and self.rights.sees(self.ctx, resource)

    def _fresh(self, resource: Resource, asked: Question) -> bool:
        return asked.since is None or resource["meta"]["lastUpdated"] >= asked.since

    def _wanted(self, resource: Resource, asked: Question) -> bool:
        code = CARE.get(resource["resourceType"])
        held = self.naive.values(resource, code) if code else []
        low = interval(asked.start)[0] if asked.start else BEGINNING
        high = interval(asked.end)[1] if asked.end else END
        cared = not held or any(since < high and until > low for since, until in map(_span, held))
        return cared and self._fresh(resource, asked)


def _span(value: Any) -> tuple[datetime, datetime]:
    if isinstance(value, str):
        return interval(value)
    since = interval(value["start"])[0] if "start" in value else BEGINNING
    return since, interval(value["end"])[1] if "end" in value else END


async def pages(
    bench: Bench, ctx: Context, owner: Resource, wanted: Wanted, count: int
) -> list[Any]:
    """Every page of a compartment."""
    compartment = Compartment(bench.definitions, bench.tables, bench.planner, KEY)
    updated = datetime.fromisoformat(owner["meta"]["lastUpdated"])
    held = Stored(owner["resourceType"], owner["id"], 1, updated, orjson.dumps(owner))
    found: list[Any] = []
    cursor = ""
    async with bench.sessions.session(ctx) as session:
        for _ in range(MOST_PAGES):
            page = await compartment.page(
                session, ctx, wanted, held, reach=lambda _: (), limit=count, cursor=cursor
            )
            found.append(page)
            if page.next is None:
                return found
            cursor = page.next
    raise AssertionError("the pages do not end")


@settings(
    deadline=None,
    max_examples=effort(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=charts(), asked=QUESTIONS)
async def test_it_is_what_brute_force_finds(
    bench: Bench, world: list[dict[str, Any]], asked: Question
) -> None:
    tenant = uuid4().hex
    await bench.put(tenant, world)
    for ctx in (service(tenant), doctor(tenant), patient(tenant)):
        slow = Slow(bench, ctx, world)
        for owner in PATIENTS:
            if owner not in slow.naive.resources:
                continue
            own = slow.naive.resources[owner]
            found = await pages(bench, ctx, own, asked.wanted(owner), asked.size)
            records = slow.records(owner, asked)
            shown = [
                r for r in records if asked.types is None or r.partition("/")[0] in asked.types
            ]
            assert [one.reference for page in found for one in page.records] == shown
            supporting = {one.reference for page in found for one in page.supporting}
            assert supporting == slow.supporting(records, asked)
            assert all(len(page.records) <= asked.size for page in found)
            for page in found:
                listed = [one.reference for one in page.supporting]
                assert len(listed) == len(set(listed))


async def test_scopes_bind_each_type(bench: Bench, tenant: str) -> None:
    owner = {"resourceType": "Patient", "id": "p0", "meta": {"lastUpdated": MOMENTS[0]}}
    about = {"subject": {"reference": "Patient/p0"}, "sender": {"reference": "Practitioner/d0"}}
    world: list[dict[str, Any]] = [
        owner,
        {"resourceType": "Communication", "id": "a", "status": "completed", **about},
        {"resourceType": "Communication", "id": "b", "status": "in-progress", **about},
        {"resourceType": "Encounter", "id": "e", "subject": {"reference": "Patient/p0"}},
        {"resourceType": "Practitioner", "id": "d0"},
    ]
    await bench.put(tenant, world)
    compartment = Compartment(bench.definitions, bench.tables, bench.planner, KEY)
    held = Stored("Patient", "p0", 1, datetime.fromisoformat(MOMENTS[0]), b"{}")
    limits: dict[str, Any] = {"Communication": (("status", "completed"),), "Patient": ()}
    ctx = service(tenant)
    async with bench.sessions.session(ctx) as session:
        page = await compartment.page(
            session, ctx, Wanted("Patient/p0"), held, reach=limits.get, limit=10
        )
    assert [one.reference for one in page.records] == ["Patient/p0", "Communication/a"]
    assert page.supporting == []


async def test_each_is_seen_once_while_others_write(bench: Bench, tenant: str) -> None:
    owner = {"resourceType": "Patient", "id": "p0", "meta": {"lastUpdated": MOMENTS[0]}}
    about = {"resourceType": "Encounter", "subject": {"reference": "Patient/p0"}}
    there = [f"e{n}" for n in range(2, 8)]
    await bench.put(tenant, [owner, *({**about, "id": id} for id in there)])
    compartment = Compartment(bench.definitions, bench.tables, bench.planner, KEY)
    held = Stored("Patient", "p0", 1, datetime.fromisoformat(MOMENTS[0]), b"{}")
    ctx, seen, cursor = service(tenant), [], ""
    async with bench.sessions.session(ctx) as session:
        for n in range(MOST_PAGES):
            page = await compartment.page(
                session, ctx, Wanted("Patient/p0"), held,
                reach=lambda _: (), limit=2, cursor=cursor,
            )  # fmt: skip
            seen += [one.id for one in page.records]
            if page.next is None:
                break
            cursor = page.next
            await bench.put(tenant, [{**about, "id": f"e0{n}"}, {**about, "id": f"e7{n}"}])
    assert len(seen) == len(set(seen))
    assert set(there) < set(seen)
    with pytest.raises(Problem) as refused:
        async with bench.sessions.session(ctx) as session:
            await compartment.page(
                session, ctx, Wanted("Patient/p1"), held,
                reach=lambda _: (), limit=2, cursor=cursor,
            )  # fmt: skip
    assert refused.value.status == 400
