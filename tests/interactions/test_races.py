"""What many callers do at the same moment ends as if they had come one after another."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.communication.message import RECEIPT
from fhir_server.fhir.instant import now_text
from fhir_server.interactions import Resource, Result
from tests.interactions.conftest import House, at_once, settled
from tests.support.clinic import Clinic, message, reference, thread
from tests.support.effort import effort

A_FEW = settings(
    max_examples=effort(8),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)


async def test_one_idempotency_key_has_one_effect(clinic: Clinic, database_url: str) -> None:
    amina, key = clinic.amina, uuid4().hex
    header = amina.created(thread())
    path = f"/v1/communication/threads/thr_{header['id']}/messages"
    headers = {"authorization": amina.authorization, "idempotency-key": key}
    url = amina.http.base_url.join(path)
    requests = [
        httpx.Request("POST", url, json={"body": "Once"}, headers=headers) for _ in range(64)
    ]
    answers = await at_once(requests)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert Counter(answer.headers.get("idempotency-replayed") for answer in answers) == {
        None: 1,
        "true": 63,
    }
    said = answers[0].json()["messageId"].removeprefix("msg_")
    assert amina.ids(f"Communication?part-of={reference(header)}") == {said}
    with psycopg.connect(database_url) as connection:
        sent = "SELECT count(*) FROM outbox WHERE tenant = %s AND type LIKE '%%message.sent'"
        assert connection.execute(sent, [clinic.tenant]).fetchall() == [(1,)]


async def test_one_key_with_two_bodies_has_the_effect_of_one(clinic: Clinic) -> None:
    header, key = clinic.amina.created(thread()), uuid4().hex
    url = clinic.amina.http.base_url.join(f"/v1/communication/threads/thr_{header['id']}/messages")
    headers = {"authorization": clinic.amina.authorization, "idempotency-key": key}
    bodies = [{"body": "This"}, {"body": "That"}] * 12
    answers = await at_once(
        [httpx.Request("POST", url, json=body, headers=headers) for body in bodies]
    )
    assert Counter(answer.status_code for answer in answers) == {201: 12, 422: 12}
    (said,) = {answer.json().get("messageId") for answer in answers} - {None}
    assert clinic.amina.ids(f"Communication?part-of={reference(header)}") == {said[4:]}


async def test_of_many_updates_to_one_version_one_wins(clinic: Clinic) -> None:
    amina = clinic.amina
    header = amina.created(thread())
    url = amina.http.base_url.join(f"/fhir/R4/{reference(header)}")
    headers = {
        "authorization": amina.authorization,
        "content-type": "application/fhir+json",
        "if-match": 'W/"1"',
    }
    requests = [
        httpx.Request(
            "PUT", url, content=json.dumps({**header, "topic": {"text": f"{n}"}}), headers=headers
        )
        for n in range(32)
    ]
    answers = await at_once(requests)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 31}
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    assert amina.get(reference(header)).json() == won
    assert won["meta"]["versionId"] == "2"


async def test_updates_without_if_match_all_count(house: House) -> None:
    header, _ = await house.conversation(0)
    bodies = [{**header, "topic": {"text": f"{n}"}} for n in range(16)]
    done, refused = await settled(
        house.do.update(house.as_("amina"), "Communication", header["id"], body) for body in bodies
    )
    assert (len(done), refused) == (16, [])
    assert await house.versions("Communication", header["id"]) == list(range(17, 0, -1))


async def test_one_id_is_created_once(house: House) -> None:
    body = {"resourceType": "Organization", "id": "o", "name": "North"}
    done, refused = await settled(house.put(dict(body)) for _ in range(16))
    assert (len(done), refused) == (16, [])
    assert Counter(result.created for result in done) == {True: 1, False: 15}
    assert await house.versions("Organization", "o") == list(range(16, 0, -1))


def receipt(said: Resource, reader: str) -> str | None:
    for extension in said.get("extension", ()):
        parts = {part["url"]: part for part in extension["extension"]}
        if (extension["url"], parts["reader"]["valueReference"]["reference"]) == (RECEIPT, reader):
            return str(parts["readAt"]["valueInstant"])
    return None


@A_FEW
@given(
    st.lists(
        st.tuples(st.sampled_from(["farid", "sami"]), st.integers(0, 20)), min_size=2, max_size=12
    )
)
async def test_the_last_reading_wins(house: House, readings: list[tuple[str, int]]) -> None:
    header = await house.created(thread("Practitioner/farid", "Practitioner/sami"))
    said = await house.created(message(header))
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    times = [(name, now_text(start + timedelta(minutes=minute))) for name, minute in readings]
    done, refused = await settled(house.mark_read(name, header, [said], at) for name, at in times)
    assert refused == []
    stored = await house.do.read(house.service, "Communication", said["id"])
    found = json.loads(stored.body)
    latest = {name: max(at for n, at in times if n == name) for name, _ in times}
    for name in ("farid", "sami"):
        assert receipt(found, f"Practitioner/{name}") == latest.get(name)
    everyone = set(latest) == {"farid", "sami"}
    assert found["status"] == ("completed" if everyone else "in-progress")
    assert found.get("received") == (max(latest.values()) if everyone else None)
    versions = await house.versions("Communication", said["id"])
    assert versions == list(range(stored.version, 0, -1))
    assert stored.version <= 1 + len(done)


@A_FEW
@given(st.integers(1, 8), st.integers(0, 8))
async def test_no_message_comes_in_after_the_archiving(
    house: House, before: int, after: int
) -> None:
    header, _ = await house.conversation(0)

    async def there() -> int:
        criteria = [("part-of", reference(header)), ("_total", "accurate")]
        page = await house.do.search(house.service, "Communication", criteria)
        return page.total or 0

    at_archiving = []

    async def archive() -> None:
        done = {**header, "status": "completed"}
        await house.do.update(house.as_("farid"), "Communication", header["id"], done)
        at_archiving.append(await there())

    def send(times: int) -> list[object]:
        body = message(header)
        return [house.do.create(house.as_("amina"), "Communication", body) for _ in range(times)]

    ended = await asyncio.gather(*send(before), archive(), *send(after), return_exceptions=True)  # type: ignore[call-overload]
    refused = [one for one in ended if isinstance(one, Exception)]
    assert {getattr(one, "status", one) for one in refused} <= {409}
    assert {getattr(one, "v1_code", one) for one in refused} <= {"INVALID_STATE_TRANSITION"}
    assert at_archiving == [await there()] == [before + after - len(refused)]


async def test_two_archive_and_one_is_told_that_it_is_done(house: House) -> None:
    header, _ = await house.conversation(0)
    done = {**header, "status": "completed"}
    archived, refused = await settled(
        house.do.update(house.as_(name), "Communication", header["id"], done)
        for name in ("amina", "farid", "amina", "farid")
    )
    assert len(archived) == 1
    assert {problem.status for problem in refused} == {409}


async def test_readers_of_many_messages_do_not_block_each_other(house: House) -> None:
    header, said = await house.conversation(6)
    orders = [said, said[::-1], said[3:] + said[:3]] * 4
    names = ["farid", "amina"] * 6
    _, refused = await settled(
        house.mark_read(name, header, order) for name, order in zip(names, orders, strict=True)
    )
    assert refused == []
    for one in said:
        versions = await house.versions("Communication", one["id"])
        assert versions == list(range(len(versions), 0, -1))


async def test_putting_and_deleting_at_once_leaves_no_gap(house: House) -> None:
    body = {"resourceType": "Organization", "id": "o", "name": "North"}

    def both() -> list[Coroutine[Any, Any, Result]]:
        return [house.put(dict(body)), house.do.delete(house.service, "Organization", "o")]

    done, refused = await settled(call for _ in range(12) for call in both())
    assert refused == []
    written = [result.stored for result in done if result.stored]
    versions = await house.versions("Organization", "o")
    assert versions == list(range(len(versions), 0, -1))
    assert sorted(stored.version for stored in written) == versions[::-1]
