from __future__ import annotations

import httpx
import psycopg

from tests.conftest import Login, NewDatabase


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in rows}


def test_a_new_database_is_migrated_and_empty(new_database: NewDatabase) -> None:
    first, second = new_database(), new_database()
    assert {"communication", "history", "outbox"} <= tables(first)
    with psycopg.connect(first, autocommit=True) as connection:
        connection.execute("CREATE TABLE extra ()")
    assert "extra" not in tables(second)


def test_a_signed_in_client_reaches_the_server(login: Login, tenant: str) -> None:
    client = login(tenant, "usr_amina", "DOCTOR")
    assert client.get("/fhir/R4/Patient").json()["resourceType"] == "Bundle"


def test_a_client_without_a_token_is_refused(client: httpx.Client) -> None:
    assert client.get("/fhir/R4/Patient").status_code == 401
