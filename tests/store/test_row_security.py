"""The second lock: PostgreSQL itself shows a session the rows of its tenant and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString, cast

import psycopg
import pytest
from psycopg import sql

from fhir_server.store.pool import APP_ROLE, SETTING
from tests.conftest import NewClinic
from tests.support.clinic import Clinic, thread

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def inside(database_url: str) -> Iterator[Connection]:
    """As the server's own sessions are: in its role, with no tenant yet."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(APP_ROLE)))
        yield connection


@pytest.fixture
def owner(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def clinics(new_clinic: NewClinic) -> list[Clinic]:
    """Two tenants, with rows of every kind."""
    found = [new_clinic(), new_clinic()]
    for clinic in found:
        answer = clinic.amina.v1(
            "POST", "threads", {"participantIds": ["usr_farid"], "subject": "Plan"}
        )
        assert answer.status_code == 201, answer.text
        clinic.service.put({"resourceType": "Patient", "id": "zahra", "name": [{"family": "Z"}]})
    return found


def tables(connection: Connection) -> list[str]:
    """Every table of ours that has a tenant."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relkind IN ('r', 'p') AND a.attname = 'tenant' AND NOT a.attisdropped"
        " AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    return [name for (name,) in rows]


def count(connection: Connection, table: str, where: LiteralString = "true") -> int:
    query = sql.SQL("SELECT count(*) FROM {} WHERE " + where).format(sql.Identifier(table))
    return cast(int, connection.execute(query).fetchall()[0][0])


def be(connection: Connection, tenant: str) -> None:
    connection.execute("SELECT set_config(%s, %s, false)", [SETTING, tenant])


def test_every_table_but_the_version_table_has_a_tenant(owner: Connection) -> None:
    rows = owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {name for (name,) in rows} - set(tables(owner)) == {"alembic_version"}
    assert {"communication", "communication_value", "history", "outbox"} <= set(tables(owner))


def test_every_table_is_under_forced_row_security(owner: Connection) -> None:
    rows = owner.execute(
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,"
        " (SELECT string_agg(pg_get_expr(polqual, polrelid), '') FROM pg_policy"
        "  WHERE polrelid = c.oid AND polcmd = '*' AND polpermissive)"
        " FROM pg_class c WHERE c.relname = ANY(%s) AND relnamespace = 'public'::regnamespace",
        [tables(owner)],
    ).fetchall()
    assert len(rows) == len(tables(owner))
    assert {forced for _, forced, _ in rows} == {True}
    assert {policy for *_, policy in rows} == {
        f"(tenant = current_setting('{SETTING}'::text, true))"
    }


def test_the_servers_role_can_neither_pass_nor_change_the_policies(
    owner: Connection, inside: Connection
) -> None:
    query = "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = %s"
    assert owner.execute(query, [APP_ROLE]).fetchall() == [(False, False, False)]
    owned = "SELECT tablename FROM pg_tables WHERE tableowner = %s"
    assert owner.execute(owned, [APP_ROLE]).fetchall() == []
    for statement in (
        "ALTER TABLE communication DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON communication",
        "CREATE TABLE mine ()",
        "TRUNCATE communication",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            inside.execute(statement)


@pytest.mark.usefixtures("clinics")
def test_without_a_tenant_there_are_no_rows(inside: Connection, owner: Connection) -> None:
    filled = {name for name in tables(owner) if count(owner, name)}
    assert {
        "communication",
        "patient",
        "patient_value",
        "history",
        "outbox",
        "idempotency",
    } <= filled
    for tenant in (None, "", "nobody", "%"):
        if tenant is not None:
            be(inside, tenant)
        assert {name: count(inside, name) for name in filled} == dict.fromkeys(filled, 0)


def test_a_session_sees_its_own_rows_only(
    inside: Connection, owner: Connection, clinics: list[Clinic]
) -> None:
    for clinic in clinics:
        be(inside, clinic.tenant)
        seen = inside.execute("SELECT DISTINCT tenant FROM communication").fetchall()
        assert seen == [(clinic.tenant,)]
        for table in tables(owner):
            every = sql.SQL("SELECT count(*) FROM {} WHERE tenant = %s").format(
                sql.Identifier(table)
            )
            assert owner.execute(every, [clinic.tenant]).fetchall()[0][0] == count(inside, table)


def test_a_session_cannot_write_into_another_tenant(
    inside: Connection, owner: Connection, clinics: list[Clinic]
) -> None:
    mine, theirs = (clinic.tenant for clinic in clinics)
    be(inside, mine)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        inside.execute(
            "INSERT INTO outbox (tenant, id, type, subject, time, data)"
            " VALUES (%s, 'x', 'x', 'x', now(), '{}')",
            [theirs],
        )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        inside.execute("UPDATE patient SET tenant = %s", [theirs])
    assert (
        inside.execute("UPDATE patient SET version = 9 WHERE tenant = %s", [theirs]).rowcount == 0
    )
    assert inside.execute("DELETE FROM history WHERE tenant = %s", [theirs]).rowcount == 0
    rows = owner.execute("SELECT max(version) FROM patient WHERE tenant = %s", [theirs])
    assert rows.fetchall() == [(2,)]


def test_the_same_id_may_live_in_two_tenants(clinics: list[Clinic]) -> None:
    for clinic in clinics:
        own = {**thread(), "id": "same", "sender": {"reference": "Practitioner/amina"}}
        own["topic"] = {"text": clinic.tenant}
        assert clinic.service.put(own).status_code == 201
    for clinic in clinics:
        assert clinic.amina.get("Communication/same").json()["topic"]["text"] == clinic.tenant
