"""`_list`: the members of a list, for those who see the list."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.context import Context
from fhir_server.problems import Problem
from tests.search.bench import Bench, service
from tests.search.test_access import CALLER, doctor
from tests.search.worlds import RESTRICTED


def entry(reference: str, **more: Any) -> dict[str, Any]:
    return {"item": {"reference": reference}, **more}


def listing(id: str, *entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "List", "id": id, "entry": list(entries), **more}


async def lists(bench: Bench, tenant: str) -> None:
    restricted = {"security": [{"system": RESTRICTED, "code": "R"}]}
    subject = {"subject": {"reference": "Patient/sealed"}}
    await bench.put(tenant, [
        {"resourceType": "Patient", "id": "sealed", "meta": restricted},
        {"resourceType": "Patient", "id": "open"},
        *(
            {"resourceType": "Communication", "id": f"c{n}",
             "subject": {"reference": "Patient/open"}}
            for n in range(5)
        ),
        listing(
            "mine", entry("Communication/c0"), entry("Communication/c1", deleted=True),
            entry("Communication/c2", deleted=False), entry("Patient/open"),
            entry("Patient/sealed"), source={"reference": CALLER},
        ),
        listing("sealed", entry("Communication/c3"), **subject),
        listing("empty"),
    ])  # fmt: skip


async def ids(bench: Bench, ctx: Context, kind: str, *params: tuple[str, str]) -> list[str]:
    return await bench.ids(ctx, kind, params)


async def test_members_are_what_is_not_flagged_deleted(bench: Bench, tenant: str) -> None:
    await lists(bench, tenant)
    ctx = service(tenant)
    assert await ids(bench, ctx, "Communication", ("_list", "mine")) == ["c0", "c2"]
    assert await ids(bench, ctx, "Communication", ("_list", "mine,sealed")) == ["c0", "c2", "c3"]
    assert await ids(bench, ctx, "Communication", ("_list", "mine"), ("_id", "c2")) == ["c2"]
    assert await ids(bench, ctx, "Communication", ("_list", "empty")) == []
    assert await ids(bench, ctx, "Communication", ("_list", "unknown")) == []
    assert await ids(bench, ctx, "Patient", ("_list", "mine")) == ["open", "sealed"]
    assert await ids(bench, ctx, "List", ("member", "Communication/c2")) == ["mine"]
    assert await ids(bench, ctx, "List", ("item", "Communication/c1")) == ["mine"]
    assert await ids(bench, ctx, "List", ("member", "Communication/c1")) == []


async def test_only_of_lists_and_members_that_are_seen(bench: Bench, tenant: str) -> None:
    await lists(bench, tenant)
    ctx = doctor(tenant)
    assert await ids(bench, ctx, "Communication", ("_list", "mine")) == ["c0", "c2"]
    assert await ids(bench, ctx, "Patient", ("_list", "mine")) == ["open"]
    assert await ids(bench, ctx, "Communication", ("_list", "sealed")) == []
    other = Context(tenant, "d9", user="Practitioner/d9", roles=frozenset({"DOCTOR"}))
    assert await ids(bench, other, "Communication", ("_list", "mine")) == []


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("$current-problems", "not-supported"),
        ("List/mine", "value"),
        ("", "value"),
        ("a\0", "value"),
    ],
)
async def test_what_is_no_list_is_refused(bench: Bench, value: str, code: str) -> None:
    with pytest.raises(Problem) as caught:
        await bench.page(service("t"), "Communication", [("_list", value)])
    assert (caught.value.status, caught.value.issues[0].code) == (400, code)
