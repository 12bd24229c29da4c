"""What a caller may not see has no influence on any answer.

Each caller has a twin tenant that holds what the oracle lets him see, and nothing else. Whatever he
asks in the whole world must be answered as the twin answers: the same resources in the same order,
the same includes, the same totals, the same pages. So no question tells of what is hidden, be it by
a chain, a `_has`, a filter, a list, an include, a sort, or a number.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    max_examples=effort(150),
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
