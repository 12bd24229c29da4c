"""The schema follows the declarations, as often as it is asked to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg

from fhir_server.definitions.model import Definitions, HotIndex
from fhir_server.store.migrations import migrate
from tests.conftest import NewDatabase

SCHEMA = """
SELECT 'column', table_name, column_name, data_type || is_nullable FROM information_schema.columns
 WHERE table_schema = 'public'
UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'policy', tablename, policyname, qual FROM pg_policies
UNION ALL SELECT 'grant', table_name, privilege_type, grantee
  FROM information_schema.role_table_grants WHERE table_schema = 'public'
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


def test_a_new_declaration_adds_its_columns_and_index_and_keeps_the_rows(
    new_database: NewDatabase, definitions: Definitions
) -> None:
    url = new_database()
    before = schema(url)
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO task (tenant, id, version, updated, body, keys)"
            " VALUES ('t', 'x', 1, now(), '{}', '{}')"
        )
    migrate(url, with_index(definitions, "Task", "owner", "authored-on"))
    added = [(kind, table, name) for kind, table, name, _ in set(schema(url)) - set(before)]
    assert sorted(added) == [
        ("column", "task", "p_authored_on"),
        ("column", "task", "p_authored_on_high"),
        ("column", "task", "p_owner"),
        ("index", "task", "task_owner_authored_on"),
    ]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT id, p_owner FROM task").fetchall() == [("x", None)]


def test_a_type_less_loses_no_data(new_database: NewDatabase, definitions: Definitions) -> None:
    url = new_database()
    before = schema(url)
    types = {name: served for name, served in definitions.types.items() if name != "Task"}
    migrate(url, replace(definitions, types=types))
    assert schema(url) == before
    migrate(url, definitions)
    assert schema(url) == before


def with_index(definitions: Definitions, name: str, first: str, second: str) -> Definitions:
    index = HotIndex(((first, False), (second, True)))
    served = replace(definitions.types[name], indexes=(index,))
    return replace(definitions, types={**definitions.types, name: served})
