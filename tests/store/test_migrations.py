"""The schema follows the declarations, as often as it is asked to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from fhir_server.definitions.model import Definitions, HotIndex
from fhir_server.store.migrations import migrate
from fhir_server.store.pool import APP_ROLE
from tests.conftest import NewDatabase

SCHEMA = """
SELECT 'column', table_name, column_name, data_type || is_nullable FROM information_schema.columns
 WHERE table_schema = 'public'
UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'policy', tablename, policyname, qual FROM pg_policies
UNION ALL SELECT 'grant', table_name, privilege_type, grantee
  FROM information_schema.role_table_grants WHERE table_schema = 'public'
UNION ALL SELECT 'security', relname, relrowsecurity::text, relforcerowsecurity::text
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
ORDER BY 1, 2, 3, 4
"""


def schema(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(SCHEMA).fetchall()


def test_migrating_again_changes_nothing(
    new_database: NewDatabase, definitions: Definitions
) -> None:
    url = new_database()
    before = schema(url)
    migrate(url, definitions)
    assert schema(url) == before


def test_an_index_gets_the_parameters_it_lacks(
    new_database: NewDatabase, definitions: Definitions
) -> None:
    url = new_database()
    before = schema(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER INDEX communication_keys RESET (gin_pending_list_limit)")
    assert schema(url) != before
    migrate(url, definitions)
    assert schema(url) == before


def test_a_new_declaration_adds_its_columns_and_index_and_keeps_the_rows(
    new_database: NewDatabase, definitions: Definitions
) -> None:
    url = new_database()
    before = schema(url)
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO provenance (tenant, id, version, updated, body, keys)"
            " VALUES ('t', 'x', 1, now(), '{}', '{}')"
        )
    migrate(url, with_index(definitions, "Provenance", "target", "recorded"))
    added = [(kind, table, name) for kind, table, name, _ in set(schema(url)) - set(before)]
    assert sorted(added) == [
        ("column", "provenance", "p_recorded"),
        ("column", "provenance", "p_recorded_high"),
        ("column", "provenance", "p_target"),
        ("index", "provenance", "provenance_target_recorded"),
    ]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT id, p_target FROM provenance").fetchall() == [("x", None)]


def test_a_type_less_loses_no_data(new_database: NewDatabase, definitions: Definitions) -> None:
    url = new_database()
    before = schema(url)
    types = {name: served for name, served in definitions.types.items() if name != "Task"}
    migrate(url, replace(definitions, types=types))
    assert schema(url) == before
    migrate(url, definitions)
    assert schema(url) == before


def test_a_new_instance_starts_beside_those_that_serve(
    new_database: NewDatabase, definitions: Definitions
) -> None:
    url = new_database()
    with psycopg.connect(url) as serving:
        for table in ("communication", "history", "outbox"):
            serving.execute(
                sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(sql.Identifier(table))
            )
        impatient = "options=-c%20lock_timeout%3D500"
        migrate(f"{url}{'&' if '?' in url else '?'}{impatient}", definitions)


def test_protection_that_was_taken_away_is_put_back(
    new_database: NewDatabase, definitions: Definitions
) -> None:
    url = new_database()
    before = schema(url)
    with psycopg.connect(url) as owner:
        owner.execute("DROP POLICY tenant ON patient")
        owner.execute("DROP POLICY tenant ON history")
        owner.execute("CREATE POLICY tenant ON history USING (true)")
        owner.execute("ALTER TABLE outbox NO FORCE ROW LEVEL SECURITY")
        owner.execute(f"REVOKE DELETE ON task FROM {APP_ROLE}")
    migrate(url, definitions)
    assert schema(url) == before


def with_index(definitions: Definitions, name: str, first: str, second: str) -> Definitions:
    index = HotIndex(((first, False), (second, True)))
    served = replace(definitions.types[name], indexes=(index,))
    return replace(definitions, types={**definitions.types, name: served})
