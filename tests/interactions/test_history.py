"""Nothing that was ever stored is lost: the history tells every version, without a gap."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.problems import Problem
from tests.interactions.conftest import House
from tests.support.effort import effort

STEPS = st.lists(st.sampled_from(["put", "delete", "stale", "broken"]), min_size=1, max_size=10)


async def refused(call: Any) -> int:
    with pytest.raises(Problem) as caught:
        await call
    return caught.value.status


@settings(
    max_examples=effort(15),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(STEPS)
async def test_history_is_what_happened(house: House, steps: list[str]) -> None:
    id, told = uuid4().hex, list[dict[str, Any] | None]()
    body = {"resourceType": "Organization", "id": id, "name": "x"}
    for n, step in enumerate(steps):
        if step == "put":
            result = await house.put({**body, "name": f"{n}"})
            told.append(result.resource)
        elif step == "delete":
            alive = bool(told) and told[-1] is not None
            await house.do.delete(house.service, "Organization", id)
            told += [None] if alive else []
        elif step == "stale":
            stale = f'W/"{len(told) + 7}"'
            put = house.do.update(house.service, "Organization", id, dict(body), if_match=stale)
            assert await refused(put) == 412
        else:
            assert await refused(house.put({**body, "colour": "red"})) == 422
    if not told:
        assert await refused(house.do.history(house.service, "Organization", id)) == 404
        return
    page = await house.do.history(house.service, "Organization", id, limit=100)
    found = [json.loads(stored.body) if stored.body else None for stored in page.versions]
    assert found == told[::-1]
    assert page.total == len(told)
    assert [stored.version for stored in page.versions] == list(range(len(told), 0, -1))
    for version, content in enumerate(told, 1):
        vread = house.do.vread(house.service, "Organization", id, version)
        if content is None:
            assert await refused(vread) == 410
        else:
            assert json.loads((await vread).body) == content
