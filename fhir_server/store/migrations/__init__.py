"""Schema changes: Alembic revisions for the shared tables, and the declared ones after them.

A resource table is declared, not migrated by hand: `migrate` runs the revisions and then adds
whatever table, column or index the declared types lack. Row-level security is part of the same
step, so no table ever exists without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Index, Table, create_engine, inspect, text
from sqlalchemy.schema import CreateColumn

from fhir_server.definitions.model import Definitions
from fhir_server.store.pool import APP_ROLE, SETTING, lively
from fhir_server.store.tables import build_tables
from fhir_server.store.write.parts import search_columns

# Without LEAKPROOF the planner may not use the key index beneath row-level security; both
# operators raise no error that could tell one tenant of another's rows.
LEAKPROOF = (
    "ALTER FUNCTION pg_catalog.arraycontains(anyarray, anyarray) LEAKPROOF",
    "ALTER FUNCTION pg_catalog.arrayoverlap(anyarray, anyarray) LEAKPROOF",
)

# Owns the function that names all tenants: it sees the column `tenant` of every row.
LISTER = "fhir_server_lister"


def create_role(name: str) -> str:
    """Once in the cluster, whoever comes first."""
    return f"""
DO $$ BEGIN
  CREATE ROLE {name} NOLOGIN NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""


def migrate(url: str, definitions: Definitions) -> None:
    """Brings the database at `url` to the declared schema; idempotent, one migrator at a time."""
    # By psycopg, which takes what SQLAlchemy's URLs cannot say, such as several hosts.
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(lively(url)))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(7190318)"))
            _upgrade(connection)
            _declared(connection, definitions)
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _declared(connection: Connection, definitions: Definitions) -> None:
    tables = build_tables(definitions.types).metadata
    tables.create_all(connection)
    for table in tables.sorted_tables:
        _add_missing(connection, table)
    # Protecting locks a table against everyone: one that is protected is left alone, so that a
    # new instance may start beside those that serve.
    protected = {(name, sealed) for name, sealed in connection.exec_driver_sql(_PROTECTED)}
    named = {name for (name,) in connection.exec_driver_sql(_NAMED)}
    for table in tables.sorted_tables:
        name = connection.dialect.identifier_preparer.format_table(table)
        if (table.name, table.name in SEALED) not in protected:
            _protect(connection, table, name)
        if table.primary_key and table.name not in named:
            _name(connection, name)


def _add_missing(connection: Connection, table: Table) -> None:
    inspector = inspect(connection)
    name = connection.dialect.identifier_preparer.format_table(table)
    present = {column["name"] for column in inspector.get_columns(table.name)}
    for column in table.columns:
        if column.name not in present:
            ddl = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(text(f"ALTER TABLE {name} ADD COLUMN {ddl}"))
    indexes = {index["name"]: index for index in inspector.get_indexes(table.name)}
    for index in table.indexes:
        if index.name not in indexes:
            index.create(connection)
        else:
            _set(connection, index, indexes[index.name].get("dialect_options", {}))


def _set(connection: Connection, index: Index, there: Mapping[str, Any]) -> None:
    """Its declared storage parameters, where it has others."""
    wanted = index.dialect_options["postgresql"]["with"]
    if wanted.items() <= {k: int(v) for k, v in there.get("postgresql_with", {}).items()}.items():
        return
    name = connection.dialect.identifier_preparer.format_index(index)
    told = ", ".join(f"{parameter} = {value}" for parameter, value in wanted.items())
    connection.execute(text(f"ALTER INDEX {name} SET ({told})"))


_RULE = f"tenant = current_setting('{SETTING}', true)"
_GRANTED = ("SELECT", "INSERT", "UPDATE", "DELETE")
# What is written there stays: the audit trail, and the links of its chain.
SEALED = ("auditevent", "audit_link")
_HELD = "has_table_privilege('{role}', pg_class.oid, '{it}')"
_ADDING = " AND ".join(_HELD.format(role=APP_ROLE, it=it) for it in _GRANTED[:2])
_CHANGING = [_HELD.format(role=APP_ROLE, it=it) for it in _GRANTED[2:]]
_PROTECTED = f"""
SELECT relname, NOT ({" OR ".join(_CHANGING)}) FROM pg_class
  JOIN pg_policy ON polrelid = pg_class.oid
 WHERE relnamespace = 'public'::regnamespace AND relrowsecurity AND relforcerowsecurity
   AND polname = 'tenant' AND polcmd = '*' AND polpermissive AND polwithcheck IS NULL
   AND pg_get_expr(polqual, polrelid) = '(tenant = current_setting(''{SETTING}''::text, true))'
   AND {_ADDING} AND (({" AND ".join(_CHANGING)}) OR NOT ({" OR ".join(_CHANGING)}))
"""
# By number: asked by name, PostgreSQL refuses a table without the column, and it may ask before it
# has looked at the other conditions.
_NAMED = f"""
SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid
  JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant'
 WHERE relnamespace = 'public'::regnamespace AND polname = 'names'
   AND has_column_privilege('{LISTER}', pg_class.oid, attnum, 'SELECT')
"""


def _name(connection: Connection, table: str) -> None:
    """Lets the function that names all tenants see this table's."""
    for statement in (
        f"DROP POLICY IF EXISTS names ON {table}",
        f"CREATE POLICY names ON {table} FOR SELECT TO {LISTER} USING (true)",
        f"GRANT SELECT (tenant) ON {table} TO {LISTER}",
    ):
        connection.execute(text(statement))


def _protect(connection: Connection, table: Table, name: str) -> None:
    sealed = table.name in SEALED
    granted = ", ".join(_GRANTED[:2] if sealed else _GRANTED)
    statements = [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS tenant ON {name}",
        f"CREATE POLICY tenant ON {name} USING ({_RULE})",
        f"REVOKE ALL ON {name} FROM {APP_ROLE}",
        f"GRANT {granted} ON {name} TO {APP_ROLE}",
    ]
    # Its search columns may be made anew, by other declarations.
    if sealed and "keys" in table.columns:
        columns = ", ".join(search_columns(table))
        statements.append(f"GRANT UPDATE ({columns}) ON {name} TO {APP_ROLE}")
    for statement in statements:
        connection.execute(text(statement))
