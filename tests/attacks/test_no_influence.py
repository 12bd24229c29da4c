"""What a caller may not see has no influence on any answer.

Each caller has a twin tenant that holds what the oracle lets him see, and nothing else. Whatever he
asks in the whole world must be answered as the twin answers: the same resources in the same order,
the same includes, the same totals, the same pages. So no question tells of what is hidden, be it by
a chain, a `_has`, a filter, a list, an include, a sort, or a number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.declarations import read_declarations
from tests.attacks.conftest import NewWatch
from tests.attacks.questions import Ground, searches
from tests.attacks.watch import Watch, named
from tests.attacks.world import World, callers, clinic
from tests.search.naive import Naive
from tests.support.effort import effort

TYPES = read_declarations().definitions.types
WORLD = clinic()
GROUND = Ground(TYPES, WORLD)
CALLERS = callers(WORLD)
CURIOUS = ("amina", "farid", "sami", "zahra", "karim", "both", "laila")


@pytest.fixture(scope="module")
def twins(watches: NewWatch) -> Mapping[str, Watch]:
    """For each caller, a tenant of what he sees."""
    whole = WORLD.resources
    shown = {name: WORLD.oracle.seen(CALLERS[name]).keys() for name in CURIOUS}
    return {
        name: watches(World({n: whole[n] for n in whole if n in names}, WORLD.named))
        for name, names in shown.items()
    }


def shown(answer: httpx.Response) -> Any:
    """What an answer tells, apart from the addresses of pages."""
    if answer.status_code != 200:
        return answer.status_code
    bundle = answer.json()
    entries = [(named(e["resource"]), e["search"]["mode"]) for e in bundle.get("entry", ())]
    return bundle.get("total"), entries, [link["relation"] for link in bundle["link"]]


@settings(
    max_examples=effort(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=st.sampled_from(CURIOUS), asked=searches(GROUND))
def test_the_answer_is_that_of_a_world_without_it(
    watch: Watch, twins: Mapping[str, Watch], name: str, asked: Any
) -> None:
    path, params = asked
    query = f"{path}?{urlencode(params)}"
    twin = twins[name]
    whole = watch.get(CALLERS[name], query)
    without = twin.get(twin.callers["service"], query)
    assert shown(whole) == shown(without), f"{name}: {query}"


def crossings(seen: Collection[str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A question over each kind of reference between what is seen and what is not."""
    done, naive = set(), Naive(TYPES, ())
    for name, one in WORLD.resources.items():
        kind = one["resourceType"]
        for code, parameter in TYPES[kind].search.items():
            text = parameter.expression
            if parameter.type != "reference" or "resolve()" in text or "%" in text:
                continue
            for other in (value.get("reference", "") for value in naive.values(one, code)):
                target = other.partition("/")[0]
                way = kind, code, target, name in seen
                if other in WORLD.resources and (name in seen) != (other in seen):
                    yield from (
                        () if way in done else asked_over(name, code, other, forward=name in seen)
                    )
                    done.add(way)


def asked_over(
    name: str, code: str, other: str, *, forward: bool
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """By chain, filter and include from `name`; by reverse chain, list and include from `other`."""
    (kind, _, id), (target, _, to) = name.partition("/"), other.partition("/")
    if forward:
        yield kind, [(f"{code}:{target}._id", to)]
        yield kind, [("_filter", f"{code}:{target}._id eq {to}")]
        yield kind, [("_id", id), ("_include", f"{kind}:{code}"), ("_include:iterate", "*")]
    else:
        yield target, [(f"_has:{kind}:{code}:_id", id)]
        yield target, [("_id", to), ("_revinclude", f"{kind}:{code}"), ("_total", "accurate")]
        if kind == "List":
            yield target, [("_list", id)]


@pytest.mark.parametrize("name", ["amina", "zahra", "sami"])
def test_no_reference_leads_to_or_from_it(
    watch: Watch, twins: Mapping[str, Watch], name: str
) -> None:
    """Each parameter by which something seen and something hidden are linked, each way."""
    twin, caller = twins[name], CALLERS[name]
    questions = list(crossings(WORLD.oracle.seen(caller)))
    assert len(questions) > len(TYPES)
    for path, params in questions:
        query = f"{path}?{urlencode(params)}"
        without = twin.get(twin.callers["service"], query)
        assert shown(watch.get(caller, query)) == shown(without), f"{name}: {query}"
