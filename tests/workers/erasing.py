"""A conversation to be erased, and looks at every row that may still tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from fhir_server.app import Core
from fhir_server.communication.gdpr.request import CODE
from fhir_server.context import Context
from fhir_server.fhir.json import parse
from fhir_server.workers.tenants import worker
from tests.support.clinic import message, thread

WORD = "geheim"


def as_(tenant: str, name: str) -> Context:
    return Context(tenant, f"usr_{name}", f"Practitioner/{name}", roles=frozenset({"DOCTOR"}))


async def put(core: Core, tenant: str, resource: dict[str, Any]) -> None:
    type_, id = resource["resourceType"], resource["id"]
    await core.interactions.update(worker(tenant), type_, id, resource)


async def made(core: Core, tenant: str, resource: dict[str, Any]) -> dict[str, Any]:
    ctx = as_(tenant, "amina")
    result = await core.interactions.create(ctx, resource["resourceType"], resource)
    assert result.resource
    return result.resource


async def conversation(core: Core, tenant: str, messages: int = 3) -> dict[str, Any]:
    """A thread about zahra, every word of which is marked; each message has two versions."""
    header = await made(core, tenant, thread(topic={"text": WORD}))
    for n in range(messages):
        said = await made(core, tenant, message(header, f"{WORD} {n}"))
        later = {**said, "statusReason": {"text": WORD}}
        await core.interactions.update(worker(tenant), "Communication", said["id"], later)
    return header


async def asked(core: Core, tenant: str, subject: str = "Patient/zahra") -> str:
    """The id of a new request."""
    task = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": CODE, "code": "erase"}]},
        "for": {"reference": subject},
    }
    result = await core.interactions.create(worker(tenant), "Task", task)
    assert result.stored
    return result.stored.id


async def request(core: Core, tenant: str, id: str) -> dict[str, Any]:
    found: dict[str, Any] = parse((await core.interactions.read(worker(tenant), "Task", id)).body)
    return found


def counted(task: dict[str, Any]) -> dict[str, int]:
    """Its output by type."""
    return {
        one["type"]["coding"][0]["code"]: one["valueInteger"]
        for one in task.get("output", ())
        if "valueInteger" in one
    }


def rows(url: str, tenant: str) -> dict[str, list[str]]:
    """Everything the tenant has in every table, as text."""
    with psycopg.connect(url) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT table_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND column_name = 'tenant' ORDER BY 1"
            )
        ]
        query = sql.SQL("SELECT t::text FROM {} t WHERE tenant = %s ORDER BY 1")
        return {
            name: [r for (r,) in connection.execute(query.format(sql.Identifier(name)), [tenant])]
            for name in names
        }


def words_in(url: str, tenant: str, word: str = WORD) -> dict[str, int]:
    """In which tables the word stands, and how often."""
    found = {name: sum(word in row for row in listed) for name, listed in rows(url, tenant).items()}
    return {name: number for name, number in found.items() if number}


def versions(url: str, tenant: str) -> set[str]:
    """Every version that the tenant's resources have had, the audit trail's own aside."""
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND column_name = 'indexed' AND table_name <> 'auditevent'"
        ).fetchall()
        current = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT tenant, body->>'resourceType', id, version FROM {}").format(
                sql.Identifier(name)
            )
            for (name,) in names
        )
        found = sql.SQL(
            "SELECT concat_ws('/', type, id, '_history', version) FROM"
            " (SELECT tenant, type, id, version FROM history UNION ALL {}) AS v WHERE tenant = %s"
        )
        return {one for (one,) in connection.execute(found.format(current), [tenant])}


def recorded(url: str, tenant: str) -> set[str]:
    """The versions that the audit trail says were made."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT e->'what'->>'reference' FROM auditevent,"
            " json_array_elements(body->'entity') AS e"
            " WHERE tenant = %s AND body->>'action' IN ('C', 'U', 'D')"
            " AND body->>'outcome' = '0' AND e->'role'->>'code' = '4'",
            [tenant],
        )
        return {one for (one,) in found}


@contextmanager
def failing(url: str, table: str, after: int) -> Iterator[None]:
    """The table refuses every write but the first few."""
    name = f"fail_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "CREATE SEQUENCE {0}; GRANT USAGE ON {0} TO PUBLIC;"
                "CREATE FUNCTION {0}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " IF nextval({1}) > {2} THEN RAISE EXCEPTION 'made to fail'; END IF;"
                " RETURN coalesce(NEW, OLD); END $$;"
                "CREATE TRIGGER {0} BEFORE INSERT OR UPDATE OR DELETE ON {3}"
                " FOR EACH ROW EXECUTE FUNCTION {0}()"
            ).format(
                sql.Identifier(name), sql.Literal(name), sql.Literal(after), sql.Identifier(table)
            )
        )
        try:
            yield
        finally:
            connection.execute(
                sql.SQL("DROP FUNCTION {0} CASCADE; DROP SEQUENCE {0}").format(sql.Identifier(name))
            )
