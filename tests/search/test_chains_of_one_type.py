"""References among resources of one type: who refers to whom, and not the other way round."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.search.bench import Bench, service

KIND = "DocumentReference"
# a replaces b, which replaces c.
FOLLOWING = {"a": "b", "b": "c", "c": None}


@pytest.fixture
async def tenant(bench: Bench) -> str:
    name = uuid4().hex
    resources = []
    for id, target in FOLLOWING.items():
        relates = [{"code": "replaces", "target": {"reference": f"{KIND}/{target}"}}]
        resources.append(
            {"resourceType": KIND, "id": id, **({"relatesTo": relates} if target else {})}
        )
    await bench.put(name, resources)
    return name


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("_has:DocumentReference:relatesto:_id", "a", {"b"}),
        ("_has:DocumentReference:relatesto:_id", "b", {"c"}),
        ("_has:DocumentReference:relatesto:_id", "c", set()),
        ("_has:DocumentReference:relatesto:relation", "replaces", {"b", "c"}),
        ("_has:DocumentReference:relatesto:_has:DocumentReference:relatesto:_id", "a", {"c"}),
        ("relatesto:DocumentReference._id", "b", {"a"}),
        ("relatesto:DocumentReference._id", "c", {"b"}),
        ("relatesto:DocumentReference._id", "a", set()),
        ("relatesto:DocumentReference.relation", "replaces", {"a"}),
    ],
)
async def test_each_way_is_its_own(
    bench: Bench, tenant: str, name: str, value: str, found: set[str]
) -> None:
    assert set(await bench.ids(service(tenant), KIND, [(name, value)])) == found
