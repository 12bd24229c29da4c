"""A write is whole or not at all: the test database itself is made to fail midway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from fhir_server.context import Context
from fhir_server.interactions import Answer, Idempotency, Result
from fhir_server.problems import Problem
from tests.interactions.conftest import House
from tests.support.clinic import message, thread

TABLES = ("communication", "communication_value", "history", "outbox", "idempotency")
HERE = {"resourceType": "Communication", "id": "here"}
Failing = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def failing(database_url: str) -> Failing:
    """Makes a table refuse what is written for a tenant."""

    @contextmanager
    def fail(table: str, tenant: str, when: str = "") -> Iterator[None]:
        name = f"fail_{uuid4().hex}"
        condition = sql.SQL("{} = {}").format(sql.Identifier("tenant"), sql.Literal(tenant))
        row = sql.SQL("NEW.{}").format(condition)
        if when:
            row = sql.SQL("{} AND NEW.id = {}").format(row, sql.Literal(when))
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL(
                    "CREATE FUNCTION {0}() RETURNS trigger LANGUAGE plpgsql AS"
                    " 'BEGIN RAISE EXCEPTION ''made to fail''; END';"
                    "CREATE TRIGGER {0} BEFORE INSERT OR UPDATE ON {1}"
                    " FOR EACH ROW WHEN ({2}) EXECUTE FUNCTION {0}()"
                ).format(sql.Identifier(name), sql.Identifier(table), row)
            )
            yield
            connection.execute(sql.SQL("DROP FUNCTION {} CASCADE").format(sql.Identifier(name)))

    return fail


def rows(url: str, tenant: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything the tenant has."""
    with psycopg.connect(url) as connection:
        query = sql.SQL("SELECT t::text FROM {} t WHERE tenant = %s ORDER BY 1")
        return {
            name: connection.execute(query.format(sql.Identifier(name)), [tenant]).fetchall()
            for name in TABLES
        }


def keyed(key: str) -> Idempotency:
    return Idempotency(key, "same", lambda _: Answer(201, b'{"done":true}'))


@pytest.mark.parametrize("table", ["communication", "outbox", "idempotency"])
async def test_a_create_that_fails_midway_leaves_nothing(
    house: House, failing: Failing, database_url: str, table: str
) -> None:
    before = rows(database_url, house.tenant)
    with failing(table, house.tenant), pytest.raises(psycopg.errors.RaiseException):
        await house.do.create(house.as_("amina"), "Communication", thread(), idempotency=keyed("k"))
    assert rows(database_url, house.tenant) == before
    again = await house.do.create(
        house.as_("amina"), "Communication", thread(), idempotency=keyed("k")
    )
    assert again.created
    assert again.replay is None


@pytest.mark.parametrize("table", ["communication", "history", "outbox"])
async def test_an_update_that_fails_midway_changes_nothing(
    house: House, failing: Failing, database_url: str, table: str
) -> None:
    header, _ = await house.conversation()
    before = rows(database_url, house.tenant)
    done = {**header, "status": "completed"}
    with failing(table, house.tenant), pytest.raises(psycopg.errors.RaiseException):
        await house.do.update(house.as_("amina"), "Communication", header["id"], done)
    assert rows(database_url, house.tenant) == before


async def test_a_delete_that_fails_midway_changes_nothing(
    house: House, failing: Failing, database_url: str
) -> None:
    header, _ = await house.conversation()
    before = rows(database_url, house.tenant)
    with failing("history", house.tenant), pytest.raises(psycopg.errors.RaiseException):
        await house.do.delete(house.service, "Communication", header["id"])
    assert rows(database_url, house.tenant) == before


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_of_several_resources_all_change_or_none(
    house: House, failing: Failing, database_url: str, at: int
) -> None:
    header, said = await house.conversation(3)
    before = rows(database_url, house.tenant)
    failure = failing("communication", house.tenant, said[at]["id"])
    with failure, pytest.raises(psycopg.errors.RaiseException):
        await house.mark_read("farid", header, said)
    assert rows(database_url, house.tenant) == before
    await house.mark_read("farid", header, said)
    after = rows(database_url, house.tenant)
    assert len(after["history"]) == len(before["history"]) + 3
    assert len(after["outbox"]) == len(before["outbox"]) + 3


async def test_an_answer_that_cannot_be_made_stores_nothing(
    house: House, database_url: str
) -> None:
    before = rows(database_url, house.tenant)

    def render(_: Result) -> Answer:
        raise RuntimeError

    broken = Idempotency("k", "same", render)
    with pytest.raises(RuntimeError):
        await house.do.create(house.as_("amina"), "Communication", thread(), idempotency=broken)
    assert rows(database_url, house.tenant) == before


@pytest.mark.parametrize(
    "wrong",
    [
        message(HERE, sender={"reference": "Practitioner/farid"}),
        message({**HERE, "id": "none"}),
        message(HERE, priority="soon"),
        thread("Practitioner/nobody"),
        thread(patient="Patient/sealed"),
    ],
)
async def test_a_refusal_stores_nothing(
    house: House, database_url: str, wrong: dict[str, Any]
) -> None:
    sender = {"reference": "Practitioner/amina"}
    await house.put({**thread("Practitioner/farid"), "id": HERE["id"], "sender": sender})
    before = rows(database_url, house.tenant)
    with pytest.raises(Problem):
        await house.do.create(
            house.as_("amina"), "Communication", dict(wrong), idempotency=keyed("k")
        )
    assert rows(database_url, house.tenant) == before


async def test_a_key_belongs_to_one_caller_of_one_tenant(house: House) -> None:
    other = Context("another-" + house.tenant, "x", roles=frozenset({"SERVICE"}))
    body = {"resourceType": "Organization", "name": "North"}
    for ctx in (house.service, other, Context(house.tenant, "y", roles=other.roles)):
        first = await house.do.create(ctx, "Organization", dict(body), idempotency=keyed("k"))
        again = await house.do.create(ctx, "Organization", dict(body), idempotency=keyed("k"))
        assert first.created
        assert again.replay == Answer(201, b'{"done":true}', {})


async def test_search_values_come_and_go_with_the_resource(house: House, database_url: str) -> None:
    patient = {"resourceType": "Patient", "id": "named", "birthDate": "1970-01-01"}
    for families in (["Amiri"], ["Amiri", "Karimi"], [], ["Noori"]):
        await house.put({**patient, "name": [{"family": f} for f in families] or [{"text": "-"}]})
        assert values(database_url, house.tenant, "family") == sorted(families)
    await house.do.delete(house.service, "Patient", "named")
    assert values(database_url, house.tenant, "family") == []
    assert values(database_url, house.tenant, "birthdate") == []


def values(url: str, tenant: str, param: str) -> list[str]:
    with psycopg.connect(url) as connection:
        query = "SELECT exact FROM patient_value WHERE (tenant, param) = (%s, %s) ORDER BY 1"
        return [exact for (exact,) in connection.execute(query, [tenant, param])]
