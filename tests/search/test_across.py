"""A search of several types finds what each type's search finds, merged into one order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.context import Context
from fhir_server.problems import Problem
from fhir_server.store.search import Across, Page
from tests.search.bench import KEY, Bench, Pairs, service
from tests.search.naive import Naive
from tests.search.test_access import Eyes, doctor
from tests.search.test_laws import LAW
from tests.search.worlds import PATIENTS, access_worlds, dates, targets, tokens, worlds

TYPES = ("Communication", "Encounter", "Patient", "Practitioner")


async def page(bench: Bench, ctx: Context, types: Sequence[str], params: Pairs, **how: Any) -> Page:
    across = Across(bench.tables, bench.planner, KEY)
    reach = how.pop("reach", lambda _: ())
    search = across.plan(ctx, types, params, reach=reach, **how)
    async with bench.sessions.session(ctx) as session:
        return await across.run(session, search)


async def found(bench: Bench, ctx: Context, types: Sequence[str], params: Pairs) -> list[str]:
    """All references, page after page."""
    everything: list[str] = []
    cursor: list[tuple[str, str]] = []
    while True:
        one = await page(bench, ctx, types, [*params, *cursor])
        everything += [stored.reference for stored in one.matches]
        if one.next is None:
            return everything
        cursor = [("_cursor", one.next)]


COMMON = st.one_of(
    st.tuples(st.just("_lastUpdated"), dates()),
    st.tuples(st.just("_security"), tokens()),
    st.tuples(st.just("_id"), st.sampled_from(["c0", "e0,p0", "c1,p1,d1"])),
    st.tuples(st.just("_filter"), st.just("_id ne c0")),
)
# What communications and encounters share; `subject` is a column of both.
CHARTED = st.one_of(
    COMMON,
    st.tuples(st.just("subject"), targets(*PATIENTS)),
    st.tuples(st.just("patient.active"), st.just("true")),
    st.tuples(st.just("status:not"), st.sampled_from(["planned", "completed,finished"])),
)
QUESTIONS = st.one_of(
    st.tuples(
        st.lists(st.sampled_from(TYPES), min_size=1, max_size=4, unique=True),
        st.lists(COMMON, max_size=2),
    ),
    st.tuples(st.just(["Communication", "Encounter"]), st.lists(CHARTED, max_size=3)),
)
SORTS = st.sampled_from(["", "_id", "-_id", "_lastUpdated", "-_lastUpdated", "-_lastUpdated,_id"])


def in_order(world: list[dict[str, Any]], references: set[str], sort: str) -> list[str]:
    """By the keys of `_sort`, then id and type in the direction of the last."""
    keys = [k for k in sort.split(",") if k]
    last = keys[-1].startswith("-") if keys else False
    if not any(k.endswith("_id") for k in keys):
        keys.append("-_id" if last else "_id")
    keys.append("-type" if last else "type")
    known = {f"{r['resourceType']}/{r['id']}": r for r in world}
    listed = sorted(references)
    for key in reversed(keys):
        listed.sort(key=lambda r: _key(known[r], key), reverse=key.startswith("-"))
    return listed


def _key(resource: dict[str, Any], key: str) -> Any:
    match key.removeprefix("-"):
        case "_id":
            return resource["id"]
        case "type":
            return resource["resourceType"]
    return datetime.fromisoformat(resource["meta"]["lastUpdated"])


@LAW
@given(
    world=worlds(),
    questions=st.lists(st.tuples(QUESTIONS, SORTS, st.integers(1, 4)), min_size=1, max_size=6),
)
async def test_a_search_of_types_is_brute_force(
    bench: Bench, world: list[dict[str, Any]], questions: list[Any]
) -> None:
    tenant = uuid4().hex
    for resource in world:
        resource.setdefault("meta", {}).setdefault("lastUpdated", "2026-02-01T00:00:00.000Z")
        if resource["id"] == "p0":
            resource["id"] = "c0"  # the id of a communication as well
    await bench.put(tenant, world)
    naive = Naive(bench.definitions.types, world)
    for (types, params), sort, count in questions:
        plain = [pair for pair in params if pair[0] != "_filter"]
        wanted = {f"{name}/{one}" for name in types for one in naive.search(name, plain)}
        if len(plain) < len(params):
            wanted = {one for one in wanted if not one.endswith("/c0")}
        asked = [*params, ("_count", str(count)), *([("_sort", sort)] if sort else [])]
        assert await found(bench, service(tenant), types, asked) == in_order(world, wanted, sort)
        total = await page(bench, service(tenant), types, [*asked, ("_total", "accurate")])
        assert total.total == len(wanted)
        counted = await page(bench, service(tenant), types, [*params, ("_summary", "count")])
        assert (counted.total, counted.matches) == (len(wanted), [])


@LAW
@given(world=access_worlds())
async def test_each_type_obeys_the_policy(bench: Bench, world: list[dict[str, Any]]) -> None:
    tenant = uuid4().hex
    await bench.put(tenant, world)
    eyes = Eyes(world)
    seen = eyes.seen("Communication", eyes.doctor)
    charts = eyes.seen("Patient", lambda r: eyes.chart(f"Patient/{r['id']}"))
    types = ["Communication", "Patient", "Binary"]
    ctx = doctor(tenant)
    everything = {f"Communication/{i}" for i in seen} | {f"Patient/{i}" for i in charts}
    assert set(await found(bench, ctx, types, [("_count", "2")])) == everything
    params = [("_include", "*"), ("_revinclude", "*"), ("_count", "3")]
    one = await page(bench, ctx, ["Communication", "Patient"], params)
    for stored in one.includes:
        shown = {"Communication": seen, "Patient": charts}.get(stored.type)
        assert shown is None or stored.id in shown
    allowed = {"Communication": (("status", "completed"),), "Patient": None}
    narrowed = await page(bench, ctx, types, [], reach=allowed.get)
    assert {s.id for s in narrowed.matches} == {
        i for i in seen if eyes.world[f"Communication/{i}"].get("status") == "completed"
    }


async def test_what_a_type_lacks_is_named_or_left_out(bench: Bench, tenant: str) -> None:
    ctx = service(tenant)
    await bench.put(tenant, [{"resourceType": "Patient", "id": "p"}])
    for pair, why in (
        (("birthdate", "1980"), "Communication has no search parameter birthdate"),
        (("_sort", "sent"), "several types are sorted by _lastUpdated and _id only"),
        (("_include", "Communication:status"), "Communication:status is not a reference"),
        (("_filter", "birthdate eq 1980"), "_filter at 1: Communication has no search parameter"),
    ):
        with pytest.raises(Problem) as caught:
            await page(bench, ctx, ["Patient", "Communication"], [pair])
        assert caught.value.status == 400
        assert caught.value.diagnostics.startswith(why)
        one = await page(
            bench, ctx, ["Patient", "Communication"], [pair, ("_id", "p")], handling="lenient"
        )
        assert ([s.reference for s in one.matches], one.used) == (["Patient/p"], [("_id", "p")])


async def test_a_cursor_belongs_to_its_types(bench: Bench, tenant: str) -> None:
    await bench.put(tenant, [{"resourceType": "Patient", "id": f"p{n}"} for n in range(3)])
    ctx = service(tenant)
    one = await page(bench, ctx, ["Patient", "Encounter"], [("_count", "1")])
    assert one.next
    for types, params in (
        (["Patient"], []),
        (["Patient", "Encounter"], [("_sort", "-_id")]),
        (["Patient", "Encounter"], [("_id", "p1")]),
    ):
        with pytest.raises(Problem) as caught:
            await page(bench, ctx, types, [*params, ("_cursor", one.next)])
        assert caught.value.status == 400


async def test_chains_of_all_types_together_are_bounded(bench: Bench) -> None:
    types = [name for name, served in bench.definitions.types.items() if "patient" in served.search]
    with pytest.raises(Problem) as caught:
        await page(bench, service("t"), types, [("patient.active", "true")] * 2)
    assert caught.value.issues[0].code == "too-costly"


async def test_all_types_at_once(bench: Bench, tenant: str) -> None:
    """The widest statement there is."""
    await bench.put(tenant, [{"resourceType": "Patient", "id": "p"}])
    ctx = service(tenant)
    params = [("_lastUpdated", "gt2020"), ("_sort", "-_lastUpdated"), ("_total", "accurate")]
    one = await page(bench, ctx, list(bench.definitions.types), params)
    assert ([s.reference for s in one.matches], one.total) == (["Patient/p"], 1)
