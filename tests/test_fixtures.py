from __future__ import annotations

import psycopg

from tests.conftest import NewDatabase


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
