"""The one writing statement: resources, superseded versions, search columns, events, idempotent
answer, all guarded by the versions the decision was made on.

A decision is taken on rows read without a lock. The statement that writes it locks those rows
(FOR SHARE) and checks that they still are the versions that were read; where one is not, nothing
is written and the pipeline decides anew. So the common write is two round trips and one commit,
and no rule can be passed by a race. A statement takes any number of resources of one type, as
arrays; its text depends only on its shape (type, kind, which parts it has) and is compiled once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Any

from sqlalchemy import CTE, ColumnElement, literal_column, select
from sqlalchemy.sql.expression import FromClause

from fhir_server.store.answers import insert_answer
from fhir_server.store.index_row import IndexRow
from fhir_server.store.sql import sql_text
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables
from fhir_server.store.write import parts
from fhir_server.store.write.arguments import (
    VALUE_COLUMNS,
    answer_args,
    current_row,
    event_args,
    guard_args,
    has_values,
    resource_args,
)
from fhir_server.store.write.model import Change, Guard, KeptAnswer, Kind, OutboxEvent, Past

__all__ = [
    "VALUE_COLUMNS",
    "Change",
    "Guard",
    "KeptAnswer",
    "Kind",
    "OutboxEvent",
    "Past",
    "Writer",
    "current_row",
]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a writing statement's text depends on; `guards` are types."""

    type: str
    kind: Kind
    guards: tuple[str, ...]
    values: bool
    events: bool
    answer: bool
    one: bool


class Writer:
    """Compiles and fills writing statements."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._sql = lru_cache(maxsize=1024)(self._compile)
        self._reindex = lru_cache(maxsize=512)(self._compile_reindex)

    def statement(
        self,
        tenant: str,
        changes: Sequence[Change],
        guards: Sequence[Guard] = (),
        events: Sequence[OutboxEvent] = (),
        answer: KeptAnswer | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """SQL and arguments of changes of one type and kind, each to another resource. The
        statement yields a row for each that it wrote: none when a guard no longer holds, fewer
        when a base version does not."""
        first = changes[0]
        by_type = {
            name: list(group) for name, group in groupby(sorted(guards, key=_type_of), key=_type_of)
        }
        shape = Shape(
            first.stored.type,
            first.kind,
            tuple(by_type),
            has_values(changes),
            bool(events),
            answer is not None,
            len(changes) == 1,
        )
        args = {"tenant": tenant, "now": first.stored.updated, **resource_args(changes)}
        args |= guard_args(by_type) | event_args(events) | answer_args(answer)
        return self._sql(shape), args

    def reindex(self, tenant: str, stored: Stored, row: IndexRow) -> tuple[str, dict[str, Any]]:
        """Makes the search columns of that version anew. Never waits; yields no row when the
        version is gone, being written, or indexed by the same declarations already."""
        change = Change("update", stored, row, stored.version)
        return self._reindex(stored.type, bool(row.values)), {
            "tenant": tenant,
            **resource_args([change]),
        }

    def answer_only(self, tenant: str, now: datetime, answer: KeptAnswer) -> tuple[str, Any]:
        """Keeps an answer to a request that changed no resource."""
        table = self._tables.idempotency
        nothing = select(literal_column("1")).cte("written")
        kept = insert_answer(table, nothing)
        args = {"tenant": tenant, "now": now, **answer_args(answer)}
        return sql_text(select(literal_column("1")).add_cte(kept)), args

    def _compile(self, shape: Shape) -> str:
        held = parts.guarded(self._tables.resources, shape.guards)
        written, others = self._resources(shape, held)
        return sql_text(select(written.c.id).add_cte(*others, *self._beside(shape, written)))

    def _compile_reindex(self, resource_type: str, values: bool) -> str:  # noqa: FBT001 - cached
        tables = self._tables.resources[resource_type]
        names = parts.search_columns(tables.current)
        rows = parts.given(tables.current, names, one=True)
        old = parts.stale(tables.current, rows)
        written = parts.updated(tables.current, rows, old, names)
        indexed = [parts.indexed(tables.values, written)] if values else []
        cleared = parts.cleared(tables.values, old)
        return sql_text(select(written.c.id).add_cte(cleared, *indexed))

    def _resources(self, shape: Shape, held: ColumnElement[bool]) -> tuple[CTE, list[CTE]]:
        """The CTE that writes current rows, and those that go with it."""
        tables, history = self._tables.resources[shape.type], self._tables.history
        names = () if shape.kind == "delete" else parts.written_columns(tables.current)
        rows = parts.given(tables.current, names, one=shape.one)
        if shape.kind == "create":
            written = parts.inserted(tables.current, rows, held)
            return written, [parts.indexed(tables.values, written)] if shape.values else []
        old = parts.current(tables.current, rows, held)
        others = [
            parts.superseded(history, shape.type, old),
            parts.cleared(tables.values, old),
        ]
        if shape.kind == "delete":
            written = parts.deleted(tables.current, old)
            return written, [*others, parts.tombstones(history, shape.type, old)]
        written = self._updated(shape, rows, old)
        values = [parts.indexed(tables.values, written)] if shape.values else []
        return written, [*others, *values]

    def _updated(self, shape: Shape, rows: FromClause, old: CTE) -> CTE:
        table = self._tables.resources[shape.type].current
        names = [name for name in parts.written_columns(table) if name != "id"]
        return parts.updated(table, rows, old, names)

    def _beside(self, shape: Shape, written: CTE) -> list[CTE]:
        found = []
        if shape.events:
            found.append(parts.announced(self._tables.outbox, written))
        if shape.answer:
            found.append(insert_answer(self._tables.idempotency, written))
        return found


def _type_of(guard: Guard) -> str:
    return guard.type
