"""What a search request may say, and what it is answered."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.context import Context
from fhir_server.problems import Problem
from tests.search.bench import Bench, Pairs, service
from tests.support.effort import effort

CALLER = "Practitioner/d1"


def thread(n: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Communication", "id": f"c{n}", "status": "completed", **more}


async def threads(bench: Bench, tenant: str, count: int = 5) -> None:
    sent = [f"2026-01-0{n + 1}T00:00:00Z" for n in range(count)]
    await bench.put(tenant, [thread(n, sent=at) for n, at in enumerate(sent)])


async def refused(bench: Bench, params: Pairs, kind: str = "Communication") -> Problem:
    with pytest.raises(Problem) as caught:
        await bench.page(service("t"), kind, params)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    "params",
    [
        [("sent", "yesterday")],
        [("sent", "2026-02-30")],
        [("sent", "")],
        [("sent", "ge")],
        [("_lastUpdated", "x")],
        [("sent:missing", "maybe")],
        [("status", "a\0b")],
        [("status", "\ud800")],
        [("category", "|")],
        [("identifier:of-type", "a|b")],
        [("category:above", "x")],
        [("category:below", "|x")],
        [("category:below", "http://a|")],
        [("category:below", "http://a|none")],
        [("category:in", "http://nowhere")],
        [("category:in", "ValueSet/none")],
        [("category:not-in", "ValueSet/a,ValueSet/§")],
        [("category:in", "")],
        [("category:text", "́")],
        [("subject:text", "x" * 401)],
        [("instantiates-uri:above", "urn:a")],
        [("instantiates-uri:below", "x")],
        [("status-uri", "completed")],
        [("status-uri", "completed$")],
        [("status-uri", "$urn:a")],
        [("status-uri", "completed$urn:a$urn:b")],
        [("status-uri", "|$urn:a")],
        [("_content", '-"so"')],
        [("_content", "a or -b")],
        [("_content", "or")],
        [("_content", "!?")],
        [("_content", "x" * 1001)],
        [("_content", "x " * 65)],
        [("_count", "-1")],
        [("_count", "ten")],
        [("_count", "²")],
        [("_total", "roughly")],
        [("_cursor", "nonsense")],
        [("_cursor", "é")],
        [("_cursor", "A" * 100_000)],
        [("status", ",".join("x" * 2000))],
        [("_has:Communication", "x")],
        [("part-of." * 9 + "status", "x")],
        [("status", "x")] * 100,
        [("part-of.status", "x")] * 13,
        [("_sort", "sent,received,status,category,subject,_id")],
    ],
)
async def test_a_bad_value_is_refused(bench: Bench, params: Pairs) -> None:
    problem = await refused(bench, params)
    assert problem.issues[0].code in {"value", "invalid", "too-costly"}


@pytest.mark.parametrize(
    "params",
    [
        [("based-on.based-on.based-on.based-on._id", "x")],
        [("focus.subject._id", "x")] * 6,
        [("focus._id", "x")] * 12,
    ],
)
async def test_chains_that_lead_everywhere_are_refused(bench: Bench, params: Pairs) -> None:
    assert (await refused(bench, params, "Task")).issues[0].code == "too-costly"
    for name in ("focus._id", "focus.subject._id", "based-on:Task.based-on:Task.status"):
        assert (await bench.page(service("t"), "Task", [(name, "x")])).matches == []


async def test_includes_are_followed_once_and_not_all_at_a_time(bench: Bench, tenant: str) -> None:
    await threads(bench, tenant, 2)
    same = [("_revinclude:iterate", "Task:*")] * 190
    assert len((await bench.page(service(tenant), "Communication", same)).matches) == 2
    many = [("_include:iterate", "*"), ("_revinclude:iterate", "*")]
    assert (await refused(bench, many)).issues[0].code == "too-costly"


@pytest.mark.parametrize("value", ["1e99999", "NaN", "five", "1||min|x", "9" * 500, "٣"])
async def test_a_bad_number_is_refused(bench: Bench, value: str) -> None:
    await refused(bench, [("length", value)], "Encounter")


@pytest.mark.parametrize("value", ["́", " ", "x" * 401])
async def test_a_text_without_letters_or_too_long_is_refused(bench: Bench, value: str) -> None:
    await refused(bench, [("name", value)], "Patient")


@pytest.mark.parametrize(
    "pair",
    [
        ("nonsense", "x"),
        ("status:contains", "x"),
        ("status:exact", "x"),
        ("sent:in", "http://vs/a"),
        ("instantiates-uri:in", "http://vs/a"),
        ("subject:not-in", "http://vs/a"),
        ("subject:below", "Patient/x"),
        ("part-of:above", "Communication/x"),
        ("_content:exact", "x"),
        ("_text:missing", "true"),
        ("status-uri:not", "completed$urn:a"),
        ("received:above", "2026"),
        ("subject:Nonsense", "x"),
        ("subject:Patient.nonsense", "x"),
        ("status.name", "x"),
        ("_has:Nonsense:subject:status", "x"),
        ("_has:Communication:status:status", "x"),
        ("_sort", "nonsense"),
        ("_include", "Communication:nonsense"),
        ("_include", "Communication:status"),
        ("_revinclude", "Nonsense:subject"),
        ("_filter", "status eq completed and nonsense eq x"),
        ("_filter", "status co x"),
        ("_list", "$current-problems"),
        ("_sort", "subject.name"),
        ("_include", "Nonsense:*"),
        ("_include", "*:subject"),
    ],
)
async def test_what_is_unknown_is_named_or_left_out(
    bench: Bench, tenant: str, pair: tuple[str, str]
) -> None:
    await threads(bench, tenant, 2)
    problem = await refused(bench, [pair, ("also-unknown", "y")])
    assert problem.issues[0].code == "not-supported"
    assert "also-unknown" in problem.diagnostics
    ctx = service(tenant)
    query = bench.planner.plan(
        ctx, "Communication", [("status", "completed"), pair], handling="lenient"
    )
    assert query.used == [("status", "completed")]


async def test_totals(bench: Bench, tenant: str) -> None:
    await threads(bench, tenant)
    ctx = service(tenant)

    async def total(*params: tuple[str, str]) -> int | None:
        return (await bench.page(ctx, "Communication", params)).total

    assert await total() == 5
    assert await total(("_count", "2")) is None
    assert await total(("_count", "2"), ("_total", "none")) is None
    assert await total(("_count", "2"), ("_total", "accurate")) == 5
    assert await total(("_count", "2"), ("_total", "estimate"), ("sent", "ge2026-01-03")) == 3
    assert await total(("status", "none"), ("_total", "accurate")) == 0
    summary = await bench.page(ctx, "Communication", [("_count", "0")])
    assert (summary.total, summary.matches, summary.next) == (5, [], None)
    assert await total(("_summary", "count"), ("part-of", "Communication/x")) == 0


async def test_the_total_stays_on_later_pages(bench: Bench, tenant: str) -> None:
    await threads(bench, tenant)
    params = [("_count", "3"), ("_total", "accurate"), ("_sort", "-sent")]
    first = await bench.page(service(tenant), "Communication", params)
    assert first.next
    second = await bench.page(service(tenant), "Communication", [*params, ("_cursor", first.next)])
    assert (first.total, second.total, len(second.matches)) == (5, 5, 2)


async def test_pages_are_stable_under_inserts(bench: Bench, tenant: str) -> None:
    await threads(bench, tenant)
    params = [("_sort", "-sent"), ("_count", "2")]
    first = await bench.page(service(tenant), "Communication", params)
    assert first.next
    await bench.put(tenant, [thread(8, sent="2027-01-01T00:00:00Z")])
    second = await bench.page(service(tenant), "Communication", [*params, ("_cursor", first.next)])
    assert [s.id for s in (*first.matches, *second.matches)] == ["c4", "c3", "c2", "c1"]


async def test_missing_values_come_last(bench: Bench, tenant: str) -> None:
    await threads(bench, tenant, 2)
    await bench.put(tenant, [thread(7)])
    for sort, wanted in (("sent", ["c0", "c1", "c7"]), ("-sent", ["c1", "c0", "c7"])):
        assert await bench.ids(service(tenant), "Communication", [("_sort", sort)]) == wanted


async def test_a_cursor_is_worth_nothing_elsewhere(bench: Bench, tenant: str) -> None:
    await threads(bench, tenant)
    page = await bench.page(service(tenant), "Communication", [("_count", "2")])
    cursor = page.next
    assert cursor
    elsewhere: list[tuple[Context, str, Pairs]] = [
        (service("other"), "Communication", []),
        (Context(tenant, "other", roles=frozenset({"SERVICE"})), "Communication", []),
        (service(tenant), "Patient", []),
        (service(tenant), "Communication", [("status", "completed")]),
        (service(tenant), "Communication", [("_sort", "-_id")]),
    ]
    for ctx, kind, params in elsewhere:
        with pytest.raises(Problem) as caught:
            await bench.page(ctx, kind, [*params, ("_cursor", cursor)])
        assert caught.value.status == 400


async def test_a_changed_cursor_is_refused(bench: Bench, tenant: str) -> None:
    await threads(bench, tenant)
    page = await bench.page(service(tenant), "Communication", [("_count", "2")])
    assert page.next
    raw = urlsafe_b64decode(page.next + "=" * (-len(page.next) % 4))
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        await refused(bench, [("_cursor", urlsafe_b64encode(changed).decode())])


NASTY = (
    *("'; DROP TABLE communication; --", "x' OR '1'='1", "x'; --"),
    *("%(v0)s", "%s", "$1", ":x", "{}", "\\", '"'),
)
NAMES = (
    *("status", "category", "identifier", "sent", "part-of", "subject", "_id", "_tag"),
    *("_sort", "_include", "_count", "x'; --"),
    *("subject:Patient.name", "_has:Communication:part-of:status"),
)


@settings(
    deadline=None,
    max_examples=effort(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.one_of(st.sampled_from(NASTY), st.text(max_size=20))),
        min_size=1,
        max_size=3,
    )
)
async def test_any_text_is_a_value_or_a_problem(bench: Bench, params: Pairs) -> None:
    """Never an error of the database, and never part of the statement."""
    with suppress(Problem):
        query = bench.planner.plan(service("t"), "Communication", params, handling="lenient")
        assert "DROP" not in query.sql
        async with bench.sessions.session(service("t")) as session:
            assert (await bench.planner.run(session, query)).matches == []


async def test_the_shape_does_not_depend_on_the_values(bench: Bench) -> None:
    def sql(*values: str) -> str:
        params = [("category", ",".join(values)), ("sent", "ge2025,ge2024,ge2023")]
        return bench.planner.plan(service("t"), "Communication", params).sql

    assert sql("a") == sql("a", "b", "c") == sql("'; DROP TABLE x")


async def test_includes_go_forward_back_and_on(bench: Bench, tenant: str) -> None:
    await bench.put(tenant, [
        {"resourceType": "Organization", "id": "o"},
        {
            "resourceType": "Patient", "id": "p",
            "managingOrganization": {"reference": "Organization/o"},
        },
        thread(0, subject={"reference": "Patient/p"}),
        thread(1, partOf=[{"reference": "Communication/gone"}, {"reference": "Communication/c0"}]),
        thread(2, partOf=[{"reference": "Communication/c1"}]),
    ])  # fmt: skip

    async def included(*params: tuple[str, str]) -> list[str]:
        page = await bench.page(service(tenant), "Communication", [("_id", "c0"), *params])
        assert [stored.id for stored in page.matches] == ["c0"]
        return sorted(stored.reference for stored in page.includes)

    assert await included(("_include", "Communication:subject")) == ["Patient/p"]
    assert await included(("_include", "Communication:subject:Group")) == []
    assert await included(("_include", "Communication:*")) == ["Patient/p"]
    assert await included(("_include", "Communication:patient")) == ["Patient/p"]
    further = ("_include:iterate", "Patient:organization")
    assert await included(("_include", "Communication:subject"), further) == [
        "Organization/o",
        "Patient/p",
    ]
    assert await included(("_revinclude", "Communication:part-of")) == ["Communication/c1"]
    assert await included(("_revinclude", "Communication:part-of:Patient")) == []
    assert await included(("_revinclude:iterate", "Communication:part-of")) == [
        "Communication/c1",
        "Communication/c2",
    ]


async def test_required_criteria_are_the_servers(bench: Bench, tenant: str) -> None:
    await bench.put(tenant, [thread(0, sender={"reference": CALLER}), thread(1)])
    ctx = Context(tenant, "s", user=CALLER, roles=frozenset({"SERVICE"}))
    page = await bench.page(ctx, "Communication", [], required=[("participant", "$caller")])
    assert [stored.id for stored in page.matches] == ["c0"]
    assert page.used == []
    page = await bench.page(ctx, "Communication", [("participant", "$caller")])
    assert page.matches == []


async def test_a_body_comes_back_as_it_lies(bench: Bench, tenant: str) -> None:
    await bench.put(tenant, [thread(0, note=[{"text": "Grüße"}])])
    page = await bench.page(service(tenant), "Communication", [])
    assert isinstance(page.matches[0].body, bytes)
    assert "Grüße".encode() in page.matches[0].body
