"""Fills a database with the corpus by COPY, row for row what the pipeline would have written.

Search columns come from the server's own Indexer, rows from its own writing; a test compares a
loaded row with one that came in through HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import psycopg
from psycopg import sql

from bench.corpus import TENANT, Corpus, Resource
from fhir_server.definitions.model import Definitions
from fhir_server.fhir.instant import interval
from fhir_server.fhir.json import dumps
from fhir_server.store.index import Indexer
from fhir_server.store.stored import Stored
from fhir_server.store.tables import build_tables
from fhir_server.store.write import VALUE_COLUMNS, Change, current_row

BATCH = 5_000
Row = dict[str, Any]


class Rows:
    """Resources as the rows of their tables."""

    def __init__(self, definitions: Definitions) -> None:
        self._tables = build_tables(definitions.types)
        self._indexer = Indexer(definitions)

    def of(self, resource: Resource) -> tuple[Row, list[Row]]:
        """The current row and the value rows, column by column."""
        updated, _ = interval(resource["meta"]["lastUpdated"])
        version = int(resource["meta"]["versionId"])
        name, id = resource["resourceType"], resource["id"]
        index = self._indexer.row(TENANT, name, resource)
        stored = Stored(name, id, version, updated, dumps(resource), "POST 201")
        current = current_row(Change("create", stored, index, 0))
        values = [{c: getattr(value, c) for c in VALUE_COLUMNS} for value in index.values]
        owner = {"tenant": TENANT, "id": id}
        return {"tenant": TENANT, **current}, [{**owner, **value} for value in values]

    def tables(self, resource_type: str) -> tuple[str, str]:
        """The names of its current table and of its value table."""
        found = self._tables.resources[resource_type]
        return found.current.name, found.values.name


def load(url: str, definitions: Definitions, corpus: Corpus) -> None:
    """Loads everything and lets PostgreSQL count what it has."""
    rows = Rows(definitions)
    with psycopg.connect(url, autocommit=True) as connection:
        for batch in _batches(corpus.directory()):
            _copy_mixed(connection, rows, batch)
        for batch in _batches(corpus.communications()):
            _copy_mixed(connection, rows, batch)
        connection.execute("VACUUM ANALYZE")


def _batches(resources: Iterable[Resource]) -> Iterator[list[Resource]]:
    source = iter(resources)
    while batch := list(islice(source, BATCH)):
        yield batch


def _copy_mixed(connection: psycopg.Connection, rows: Rows, batch: Sequence[Resource]) -> None:
    by_type: dict[str, list[tuple[Row, list[Row]]]] = {}
    for resource in batch:
        by_type.setdefault(resource["resourceType"], []).append(rows.of(resource))
    for resource_type, made in by_type.items():
        copy_all(connection, rows, resource_type, made)


def copy_all(
    connection: psycopg.Connection,
    rows: Rows,
    resource_type: str,
    made: Sequence[tuple[Row, list[Row]]],
) -> None:
    """Current and value rows of one type, in one transaction."""
    current, values = rows.tables(resource_type)
    with connection.transaction():
        _copy(connection, current, [row for row, _ in made])
        _copy(connection, values, [row for _, found in made for row in found])


def _copy(connection: psycopg.Connection, table: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    columns = list(rows[0])
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row([row[column] for column in columns])
