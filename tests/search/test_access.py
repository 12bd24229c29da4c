"""Each role sees what the access policy says: compared with looking at every resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.context import Context
from fhir_server.store.search import Derived
from tests.search.bench import Bench, service
from tests.search.filters import COMMUNICATION_TERMS, Meaning, text, trees
from tests.search.naive import Naive
from tests.search.worlds import COMMUNICATION, RESTRICTED, access_worlds
from tests.support.effort import effort

CALLER = "Practitioner/d1"
SELF = "Patient/p1"
Resource = Mapping[str, Any]


def doctor(tenant: str) -> Context:
    return Context(tenant, "usr_d1", user=CALLER, roles=frozenset({"DOCTOR"}))


def patient(tenant: str) -> Context:
    return Context(tenant, "pat_p1", user=SELF, patient=SELF, roles=frozenset({"PATIENT"}))


def admin(tenant: str) -> Context:
    return Context(tenant, "usr_d2", user="Practitioner/d2", roles=frozenset({"ADMIN"}))


class Eyes:
    """What each role may see, in plain words."""

    def __init__(self, world: list[dict[str, Any]]) -> None:
        self.world = {f"{r['resourceType']}/{r['id']}": r for r in world}

    def seen(self, kind: str, sees: Callable[[Resource], bool]) -> set[str]:
        return {r["id"] for r in self.world.values() if r["resourceType"] == kind and sees(r)}

    def doctor(self, resource: Resource) -> bool:
        subject = resource.get("subject", {}).get("reference", "")
        if subject.startswith("Patient/"):
            return self.chart(subject)
        return CALLER in participants(resource)

    def chart(self, subject: str) -> bool:
        found = self.world.get(subject)
        if found is None:
            return False
        restricted = any(c["code"] in "RV" for c in found.get("meta", {}).get("security", ()))
        return not restricted or self.in_team(subject)

    def in_team(self, subject: str) -> bool:
        return any(
            team["subject"]["reference"] == subject and CALLER in members(team)
            for team in self.world.values()
            if team["resourceType"] == "CareTeam"
        )


def participants(resource: Resource) -> set[str]:
    everyone = [resource.get("sender", {}), *resource.get("recipient", ())]
    return {one.get("reference", "") for one in everyone}


def members(team: Resource) -> set[str]:
    """Those who take part now."""
    if team.get("status", "active") != "active" or "end" in team.get("period", {}):
        return set()
    return {
        one["member"]["reference"]
        for one in team["participant"]
        if "end" not in one.get("period", {})
    }


@settings(
    deadline=None,
    max_examples=effort(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=access_worlds())
async def test_every_way_in_obeys_the_policy(bench: Bench, world: list[dict[str, Any]]) -> None:
    tenant = uuid4().hex
    await bench.put(tenant, world)
    eyes = Eyes(world)
    everything = eyes.seen("Communication", lambda _: True)
    seen = eyes.seen("Communication", eyes.doctor)
    assert set(await bench.ids(doctor(tenant), "Communication", [])) == seen
    charts = eyes.seen("Patient", lambda r: eyes.chart(f"Patient/{r['id']}"))
    assert set(await bench.ids(doctor(tenant), "Patient", [])) == charts
    mine = eyes.seen("Communication", lambda r: SELF in participants(r))
    assert set(await bench.ids(patient(tenant), "Communication", [])) == mine
    assert await bench.ids(patient(tenant), "Patient", []) == [
        i for i in ["p1"] if f"Patient/{i}" in eyes.world
    ]
    assert await bench.ids(admin(tenant), "Communication", []) == []
    assert set(await bench.ids(service(tenant), "Communication", [])) == everything
    await _chains(bench, tenant, eyes, seen)
    await _includes(bench, tenant, seen, charts)
    await _derived(bench, tenant, eyes, seen)
    await _reads(bench, tenant, everything, seen)


@settings(
    deadline=None,
    max_examples=effort(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    world=access_worlds(),
    questions=st.lists(st.lists(COMMUNICATION, min_size=1, max_size=2), max_size=6),
    filters=st.lists(trees(COMMUNICATION_TERMS), max_size=6),
    data=st.data(),
)
async def test_what_is_not_seen_answers_no_question(
    bench: Bench,
    world: list[dict[str, Any]],
    questions: list[Any],
    filters: list[Any],
    data: st.DataObject,
) -> None:
    """The answer is that of a world without it."""
    tenant = uuid4().hex
    await bench.put(tenant, world)
    eyes = Eyes(world)
    seen = eyes.seen("Communication", eyes.doctor)
    charts = eyes.seen("Patient", lambda r: eyes.chart(f"Patient/{r['id']}"))
    shown = {"Communication": seen, "Patient": charts}
    naive = Naive(
        bench.definitions.types,
        [r for r in world if r["id"] in shown.get(r["resourceType"], ())],
    )
    for params in questions:
        found = await bench.ids(doctor(tenant), "Communication", params)
        assert set(found) == naive.search("Communication", params), params
    for tree in filters:
        written = text(data.draw, tree)
        found = await bench.ids(doctor(tenant), "Communication", [("_filter", written)])
        assert set(found) == Meaning(naive).search("Communication", tree), written


def parts(eyes: Eyes, communication: str) -> set[str]:
    """What it is part of."""
    held = eyes.world[f"Communication/{communication}"].get("partOf", ())
    return {one["reference"] for one in held if "reference" in one}


async def _chains(bench: Bench, tenant: str, eyes: Eyes, seen: set[str]) -> None:
    """A chain does not tell of a resource that the caller cannot see."""
    found = await bench.ids(doctor(tenant), "Communication", [("part-of.status", "completed")])
    wanted = {
        i for i in seen
        for part in parts(eyes, i)
        if part.partition("/")[2] in seen and eyes.world[part].get("status") == "completed"
    }  # fmt: skip
    assert set(found) == wanted
    has = [("_has:Communication:part-of:status", "completed")]
    reached = {
        part.partition("/")[2]
        for i in seen
        if eyes.world[f"Communication/{i}"].get("status") == "completed"
        for part in parts(eyes, i)
    }
    assert set(await bench.ids(doctor(tenant), "Communication", has)) == reached & seen


async def _includes(bench: Bench, tenant: str, seen: set[str], charts: set[str]) -> None:
    params = [("_include", "Communication:subject"), ("_revinclude", "Communication:part-of")]
    page = await bench.page(doctor(tenant), "Communication", [("_count", "2"), *params])
    for stored in page.includes:
        assert stored.id in (charts if stored.type == "Patient" else seen)


async def _derived(bench: Bench, tenant: str, eyes: Eyes, seen: set[str]) -> None:
    params = [("part-of", "$this")]
    fields = [
        Derived("messages", "count", "Communication", params),
        Derived("any", "exists", "Communication", params),
        Derived("last", "first", "Communication", [*params, ("_sort", "-sent")]),
    ]
    page = await bench.page(doctor(tenant), "Communication", [("_count", "100")], derived=fields)
    for stored, (count, any_, last) in zip(page.matches, page.derived, strict=True):
        found = [i for i in seen if stored.reference in parts(eyes, i)]
        assert (count, any_, last is not None) == (len(found), bool(found), bool(found))


async def _reads(bench: Bench, tenant: str, everything: set[str], seen: set[str]) -> None:
    async with bench.sessions.session(doctor(tenant)) as session:
        for one in everything:
            sql, args = bench.access.read_statement(doctor(tenant), "Communication", one)
            [(_, _, _, allowed)] = await session.fetch(sql, args)
            assert allowed is (one in seen)


async def test_a_required_criterion_binds_a_read(bench: Bench, tenant: str) -> None:
    world = [{"resourceType": "Communication", "id": "c", "sender": {"reference": CALLER}}]
    await bench.put(tenant, world)
    for who, allowed in ((CALLER, True), ("Practitioner/other", False)):
        ctx = Context(tenant, "s", user=who, roles=frozenset({"SERVICE"}))
        required = (("participant", "$caller"),)
        sql, args = bench.access.read_statement(ctx, "Communication", "c", required)
        async with bench.sessions.session(ctx) as session:
            assert [row[3] for row in await session.fetch(sql, args)] == [allowed]


async def test_another_tenant_does_not_exist(bench: Bench, tenant: str) -> None:
    await bench.put(tenant, [{"resourceType": "Patient", "id": "p"}])
    other = uuid4().hex
    assert await bench.ids(service(other), "Patient", []) == []
    sql, args = bench.access.read_statement(service(other), "Patient", "p")
    async with bench.sessions.session(service(other)) as session:
        assert await session.fetch(sql, args) == []


@pytest.mark.parametrize(
    ("role", "kind", "may"),
    [
        ("DOCTOR", "Communication", True),
        ("DOCTOR", "Patient", False),
        ("ADMIN", "Communication", False),
        ("ADMIN", "Basic", True),
        ("SERVICE", "Patient", True),
        ("NOBODY", "Patient", False),
    ],
)
def test_who_may_write(bench: Bench, role: str, kind: str, *, may: bool) -> None:
    ctx = Context("t", "s", roles=frozenset({role}))
    assert bench.access.may_write(ctx, kind) is may


@pytest.mark.parametrize("kind", ["RelatedPerson", "Appointment", "Task", "DocumentReference"])
async def test_other_chart_entries_follow_their_patient(
    bench: Bench, tenant: str, kind: str
) -> None:
    """Whether the patient is a column of the type or only among its keys."""
    security = {"security": [{"system": RESTRICTED, "code": "R"}]}
    world: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": "open"},
        {"resourceType": "Patient", "id": "sealed", "meta": security},
        *(entry(kind, patient) for patient in ("open", "sealed", "unknown")),
    ]
    await bench.put(tenant, world)
    assert await bench.ids(doctor(tenant), kind, []) == ["of-open"]
    team = {"member": {"reference": CALLER}}
    subject = {"reference": "Patient/sealed"}
    care = {"resourceType": "CareTeam", "id": "t", "subject": subject, "participant": [team]}
    await bench.put(tenant, [care])
    assert await bench.ids(doctor(tenant), kind, []) == ["of-open", "of-sealed"]


def entry(kind: str, patient: str) -> dict[str, Any]:
    """A resource of the type about the patient."""
    reference = {"reference": f"Patient/{patient}"}
    about: dict[str, dict[str, Any]] = {
        "RelatedPerson": {"patient": reference},
        "Appointment": {"participant": [{"status": "accepted"}, {"actor": reference}]},
        "Task": {"for": reference},
        "DocumentReference": {"subject": reference},
    }
    return {"resourceType": kind, "id": f"of-{patient}", **about[kind]}
