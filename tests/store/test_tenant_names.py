"""All tenants can be named without a tenant; nothing else can be seen that way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from fhir_server.app import Core
from fhir_server.definitions.model import Definitions
from fhir_server.store.migrations import LISTER, migrate
from fhir_server.store.pool import APP_ROLE
from fhir_server.workers.tenants import tenants, worker
from tests.conftest import database_of

Connection = psycopg.Connection[tuple[Any, ...]]
NAMES = "SELECT DISTINCT * FROM fhir_server_tenants() ORDER BY 1"


@pytest.fixture
def owner(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def as_role(connection: Connection, role: str) -> None:
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))


async def test_who_has_anything_stored_is_named(core: Core, tenant: str) -> None:
    both = sorted([tenant, tenant + "-other"])
    for name in both:
        await core.interactions.update(
            worker(name), "Patient", "p", {"resourceType": "Patient", "id": "p"}
        )
    assert [name for name in await tenants(core.store) if name.startswith(tenant)] == both


def test_the_servers_role_may_ask_and_others_may_not(owner: Connection) -> None:
    query = "SELECT has_function_privilege(%s, 'fhir_server_tenants()', 'EXECUTE')"
    assert owner.execute(query, [APP_ROLE]).fetchall() == [(True,)]
    assert owner.execute(query, ["pg_read_all_settings"]).fetchall() == [(False,)]


async def test_the_function_can_read_names_only(core: Core, owner: Connection, tenant: str) -> None:
    await core.interactions.update(
        worker(tenant), "Patient", "p", {"resourceType": "Patient", "id": "p"}
    )
    as_role(owner, LISTER)
    assert (tenant,) in owner.execute("SELECT DISTINCT tenant FROM patient").fetchall()
    for wrong in (
        "SELECT id FROM patient",
        "SELECT body FROM patient",
        "SELECT answer FROM idempotency",
        "SELECT tenant FROM patient_value",
        "UPDATE patient SET tenant = 'x'",
        "DELETE FROM patient",
        "CREATE TABLE mine ()",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(wrong)


def test_the_servers_role_cannot_become_it(owner: Connection) -> None:
    query = "SELECT pg_has_role(%s, %s, 'MEMBER'), rolsuper, rolbypassrls, rolcanlogin"
    rows = owner.execute(query + " FROM pg_roles WHERE rolname = %s", [APP_ROLE, LISTER, LISTER])
    assert rows.fetchall() == [(False, False, False, False)]


def test_it_works_where_the_owner_of_the_tables_is_no_superuser(
    postgres_url: str, definitions: Definitions
) -> None:
    """Forced row-level security binds such an owner, too."""
    name = f"owner_{uuid4().hex[:12]}"
    identifier, app = sql.Identifier(name), sql.Identifier(APP_ROLE)
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        for statement in (
            "CREATE ROLE {0} LOGIN PASSWORD 'x' CREATEROLE",
            "CREATE DATABASE {0} OWNER {0}",
            "GRANT {1}, {2} TO {0} WITH ADMIN OPTION",
        ):
            lister = sql.Identifier(LISTER)
            admin.execute(sql.SQL(statement).format(identifier, app, lister))
    try:
        _migrated_by(postgres_url, name, definitions)
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
            admin.execute(sql.SQL("DROP ROLE {}").format(identifier))


def _migrated_by(postgres_url: str, name: str, definitions: Definitions) -> None:
    url = psycopg.conninfo.conninfo_to_dict(database_of(postgres_url, name))
    host = {key: url[key] for key in ("host", "port") if key in url}
    query = "&".join(f"{key}={value}" for key, value in host.items())
    theirs = f"postgresql://{name}:x@/{name}?{query}"
    migrate(theirs, definitions)
    migrate(theirs, definitions)
    with psycopg.connect(theirs, autocommit=True) as connection:
        as_role(connection, APP_ROLE)
        for tenant in ("a", "b"):
            connection.execute("SELECT set_config('fhir_server.tenant', %s, false)", [tenant])
            connection.execute(
                "INSERT INTO patient (tenant, id, version, updated, body, keys)"
                " VALUES (%s, 'x', 1, now(), '{}', '{}')",
                [tenant],
            )
        connection.execute("SELECT set_config('fhir_server.tenant', '', false)")
        assert connection.execute(NAMES).fetchall() == [("a",), ("b",)]
        assert connection.execute("SELECT id FROM patient").fetchall() == []
        connection.execute("RESET ROLE")
        assert connection.execute("SELECT current_user").fetchall() == [(name,)]
