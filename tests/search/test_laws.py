"""A search finds what looking at every resource finds, and its pages are the whole list."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.search.bench import Bench, service
from tests.search.naive import Naive
from tests.search.worlds import QUESTIONS, worlds
from tests.support.effort import effort

LAW = settings(
    deadline=None,
    max_examples=effort(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@LAW
@given(world=worlds(), questions=st.lists(QUESTIONS, min_size=1, max_size=8))
async def test_a_search_is_brute_force(
    bench: Bench, world: list[dict[str, Any]], questions: list[Any]
) -> None:
    tenant = uuid4().hex
    await bench.put(tenant, world)
    naive = Naive(bench.definitions.types, world)
    for kind, params in questions:
        found = await bench.ids(service(tenant), kind, params)
        assert len(found) == len(set(found))
        assert set(found) == naive.search(kind, params), (kind, params)


SORTS = st.lists(
    st.builds(
        str.__add__,
        st.sampled_from(["", "-"]),
        st.sampled_from(
            ["sent", "received", "status", "_lastUpdated", "_id", "subject", "category"]
        ),
    ),
    max_size=3,
).map(",".join)


@LAW
@given(world=worlds(), sort=SORTS, count=st.integers(1, 3), part_of=st.booleans())
async def test_pages_together_are_the_whole_list(
    bench: Bench, world: list[dict[str, Any]], sort: str, count: int, *, part_of: bool
) -> None:
    tenant = uuid4().hex
    await bench.put(tenant, world)
    params = [("_sort", sort)] if sort else []
    params += [("part-of", "Communication/c0,Communication/c1")] if part_of else []
    whole = await bench.ids(service(tenant), "Communication", [*params, ("_count", "1000")])
    paged = await bench.ids(service(tenant), "Communication", [*params, ("_count", str(count))])
    assert paged == whole
