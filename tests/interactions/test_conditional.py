"""A condition holds however many ask at the same moment."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.interactions import Answer, Condition, Idempotency, Resource, Result
from fhir_server.interactions.pipeline import Choose, Pipeline
from fhir_server.problems import Problem
from tests.interactions.conftest import House, at_once, settled
from tests.support.clinic import JSON, Clinic, refer, reference, thread
from tests.support.effort import effort

SYSTEM = "https://example.org/mrn"
Pair = tuple[str, str]


def organization(number: int = 1, name: str = "North") -> Resource:
    identifier = [{"system": SYSTEM, "value": str(number)}]
    return {"resourceType": "Organization", "identifier": identifier, "name": name}


def numbered(number: int = 1, *more: Pair, count: int = 1) -> Condition:
    where = (("identifier", f"{SYSTEM}|{number}"), *more)
    return Condition("Organization", where, count=count)


async def ids(house: House, *where: Pair) -> set[str]:
    page = await house.do.search(house.service, "Organization", [*where, ("_count", "1000")])
    return {stored.id for stored in page.matches}


async def test_of_many_creates_one_creates(house: House) -> None:
    create = house.conditional.create
    done, refused = await settled(
        create(house.service, numbered(), organization(name=f"{n}")) for n in range(64)
    )
    assert (len(done), refused) == (64, [])
    assert Counter(result.created for result in done) == {True: 1, False: 63}
    (id,) = await ids(house)
    assert {result.stored and result.stored.id for result in done} == {id}
    assert len({result.stored and result.stored.body for result in done}) == 1
    assert await house.versions("Organization", id) == [1]


async def test_of_many_clients_one_creates(clinic: Clinic) -> None:
    service = clinic.service
    url = service.http.base_url.join("/fhir/R4/Organization")
    headers = {"authorization": service.authorization, "content-type": JSON}
    headers |= {"if-none-exist": f"identifier={SYSTEM}|1"}
    request = httpx.Request("POST", url, json=organization(), headers=headers)
    answers = await at_once([request] * 64)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 63}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(service.ids("Organization")) == 1


async def test_criteria_that_mean_the_same_are_the_same(house: House) -> None:
    name, token = ("name", "North"), ("identifier", f"{SYSTEM}|1")
    part: Pair = ("partof", "Organization/top")
    written: list[Sequence[Pair]] = [
        (name, token, part),
        (part, token, name),
        (token, name, ("partof:Organization", "top")),
    ]
    body = {**organization(), "partOf": {"reference": "Organization/top"}}
    done, refused = await settled(
        house.conditional.create(house.service, Condition("Organization", where), body)
        for where in written * 12
    )
    assert (len(done), refused) == (36, [])
    assert Counter(result.created for result in done) == {True: 1, False: 35}


async def test_different_criteria_do_not_wait_for_each_other(house: House) -> None:
    done, refused = await settled(
        house.conditional.create(house.service, numbered(n % 8), organization(n % 8))
        for n in range(64)
    )
    assert (len(done), refused) == (64, [])
    assert len(await ids(house)) == 8


async def test_callers_with_different_rights_meet_at_one_lock(house: House) -> None:
    where = (("identifier", f"{SYSTEM}|1"),)
    body = {**thread(), "identifier": [{"system": SYSTEM, "value": "1"}]}
    asked = Condition("Communication", where)
    by_backend = {**body, "sender": refer("Practitioner/amina")[0]}
    done, refused = await settled(
        house.conditional.create(*call)
        for _ in range(12)
        for call in (
            (house.as_("amina"), asked, body),
            (house.as_("farid"), asked, {**body, "recipient": refer("Practitioner/amina")}),
            (house.service, asked, by_backend),
        )
    )
    assert (len(done), refused) == (36, [])
    assert Counter(result.created for result in done) == {True: 1, False: 35}


async def test_of_many_updates_one_creates_and_all_count(house: House) -> None:
    update = house.conditional.update
    done, refused = await settled(
        update(house.service, numbered(), organization(name=f"{n}")) for n in range(64)
    )
    assert (len(done), refused) == (64, [])
    assert Counter(result.created for result in done) == {True: 1, False: 63}
    (id,) = await ids(house)
    assert await house.versions("Organization", id) == list(range(64, 0, -1))


async def test_of_many_updates_that_choose_an_id_one_creates(house: House) -> None:
    body = {**organization(), "id": "mine"}
    conditional = [house.conditional.update(house.service, numbered(), body) for _ in range(8)]
    plain = [house.put(dict(body)) for _ in range(8)]
    ended = await asyncio.gather(*conditional, *plain, return_exceptions=True)
    refused = [one for one in ended if not isinstance(one, Result)]
    # Who searched before the plain one committed found its id taken.
    assert {getattr(one, "status", one) for one in refused} <= {409}
    done = [one for one in ended if isinstance(one, Result)]
    assert sum(result.created for result in done) == 1
    assert await house.versions("Organization", "mine") == list(range(len(done), 0, -1))


async def test_a_match_that_changed_is_searched_again(house: House) -> None:
    """Either the rename came first, and nothing matched, or the update did."""
    for n in range(8):
        first = await house.do.create(house.service, "Organization", organization(n))
        assert first.stored
        id = first.stored.id
        renamed = {**organization(n + 1000), "id": id}
        (update, _), refused = await settled(
            [
                house.conditional.update(house.service, numbered(n), organization(n, "New")),
                house.put(renamed),
            ]
        )
        assert refused == []
        assert update.stored
        versions = await house.versions("Organization", id)
        if update.created:
            assert versions == [2, 1]
            assert update.stored.id != id
        else:
            assert (update.stored.id, versions) == (id, [3, 2, 1])
            assert await ids(house, ("identifier", f"{SYSTEM}|{n}")) == set()


async def test_patches_of_the_match_all_count(house: House) -> None:
    first = await house.do.create(house.service, "Organization", organization(name="-"))
    patch = house.conditional.patch

    def change(letter: str) -> Callable[[Resource], Resource]:
        return lambda found: {**found, "name": found["name"] + letter}

    done, refused = await settled(
        patch(house.service, numbered(), change(letter)) for letter in "abcdefgh"
    )
    assert (len(done), refused) == (8, [])
    assert first.stored
    found = json.loads((await house.do.read(house.service, "Organization", first.stored.id)).body)
    assert sorted(found["name"]) == sorted("-abcdefgh")


async def test_a_patch_needs_one_match(house: House) -> None:
    patch, body = house.conditional.patch, organization()
    for there, status in ((0, 404), (1, None), (2, 412)):
        if there:
            await house.do.create(house.service, "Organization", body)
        done, refused = await settled([patch(house.service, numbered(), lambda found: found)])
        assert [problem.status for problem in refused] == ([status] if status else [])
        assert len(done) + len(refused) == 1


async def test_creating_and_deleting_at_once(house: House) -> None:
    calls = [
        call
        for _ in range(16)
        for call in (
            house.conditional.create(house.service, numbered(), organization()),
            house.conditional.delete(house.service, numbered()),
        )
    ]
    done, refused = await settled(calls)
    assert (len(done), refused) == (32, [])
    created = sum(result.created for result in done)
    deleted = sum(result.deleted for result in done)
    assert created - deleted == len(await ids(house)) <= 1


@settings(
    max_examples=effort(8),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(st.integers(0, 12), st.integers(2, 12), st.integers(1, 4))
async def test_deletes_take_what_there_is_once(
    house: House, there: int, count: int, times: int
) -> None:
    for _ in range(there):
        await house.do.create(house.service, "Organization", organization())
    asked = numbered(count=count)
    done, refused = await settled(
        house.conditional.delete(house.service, asked) for _ in range(times)
    )
    assert refused == []
    taken = [result.deleted for result in done]
    assert sum(taken) == min(there, count * times)
    assert max(taken) <= count
    left = await ids(house, ("identifier", f"{SYSTEM}|1"))
    assert len(left) == there - sum(taken)
    assert any(not result.more for result in done) or left
    for id in left:
        await house.do.delete(house.service, "Organization", id)


async def test_deleting_is_all_or_nothing(house: House) -> None:
    """One closed match is enough to keep all."""
    identifier = [{"system": SYSTEM, "value": "1"}]
    headers = [
        await house.created({**thread(), "identifier": identifier}),
        await house.created({**thread(), "identifier": identifier}, "farid"),
    ]
    asked = Condition("Communication", (("identifier", f"{SYSTEM}|1"),), count=10)
    limited = (("sender", "Practitioner/amina"),)
    with pytest.raises(Problem) as refused:
        await house.conditional.delete(house.service, asked, criteria=limited)
    assert refused.value.status == 403
    for header in headers:
        assert (await house.do.read(house.service, "Communication", header["id"])).body


async def test_rules_and_events_are_those_of_every_write(house: House) -> None:
    asked = Condition("Communication", (("topic:missing", "true"), ("_id", "none")))
    result = await house.conditional.create(house.as_("amina"), asked, thread())
    assert result.stored
    found = json.loads(result.stored.body)
    assert found["sender"] == {"reference": "Practitioner/amina"}
    assert "Practitioner/amina" in {one["reference"] for one in found["recipient"]}
    assert reference(found) == result.stored.reference


async def test_a_key_is_answered_again_though_the_match_has_gone(house: House) -> None:
    def render(result: Result) -> Answer:
        return Answer(201 if result.created else 200, b"{}")

    async def create(key: str) -> Result:
        kept = Idempotency(key, "same", render)
        asked, body = numbered(), organization()
        return await house.conditional.create(house.service, asked, body, idempotency=kept)

    first, second = await create("a"), await create("b")
    assert (first.created, second.created) == (True, False)
    await house.conditional.delete(house.service, numbered())
    replayed = [(await create(key)).replay for key in "ab"]
    assert [answer and answer.status for answer in replayed] == [201, 200]
    assert await ids(house) == set()


async def test_a_thousand_go_in_one_request(house: House) -> None:
    together = [house.do.create(house.service, "Organization", organization()) for _ in range(1001)]
    await asyncio.gather(*together)
    taken = [await house.conditional.delete(house.service, numbered(count=1000)) for _ in range(2)]
    assert [(result.deleted, result.more) for result in taken] == [(1000, True), (1, False)]
    assert await ids(house) == set()


async def test_a_fault_after_the_search_leaves_no_lock(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Pipeline.write_chosen

    async def broken(self: Pipeline, ctx: object, choose: Choose, *more: object) -> Result:
        async def fails(session: object) -> object:
            await choose(session)  # type: ignore[arg-type]
            raise RuntimeError

        return await whole(self, ctx, fails, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Pipeline, "write_chosen", broken)
        with pytest.raises(RuntimeError):
            await house.conditional.create(house.service, numbered(), organization())
    result = await house.conditional.create(house.service, numbered(), organization())
    assert result.created
