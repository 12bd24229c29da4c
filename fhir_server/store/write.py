"""The one writing statement: resource, superseded version, search columns, events, idempotent
answer, all guarded by the versions the decision was made on.

A decision is taken on rows read without a lock. The statement that writes it locks those rows
(FOR SHARE) and checks that they still are the versions that were read; where one is not, nothing
is written and the pipeline decides anew. So the common write is two round trips and one commit,
and no rule can be passed by a race. The statement's text depends only on its shape (type, kind,
which parts it has) and is compiled once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import orjson
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

from fhir_server.store.answers import insert_answer
from fhir_server.store.index import IndexRow
from fhir_server.store.sql import constant, sql_text
from fhir_server.store.stored import Stored
from fhir_server.store.tables import HOT, ResourceTables, Tables

Kind = Literal["create", "update", "delete"]
VALUE_COLUMNS = ("param", "norm", "exact", "low", "high", "since", "until", "unit")


@dataclass(frozen=True, slots=True)
class Change:
    """One version to write: `base` is the version it supersedes, None where there is none."""

    kind: Kind
    stored: Stored
    row: IndexRow | None
    base: int | None


@dataclass(frozen=True, slots=True)
class Guard:
    """A row the decision rests on: it must still have this version at commit."""

    type: str
    id: str
    version: int


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """One event; `subject` is the aggregate as Type/id; `data` carries no patient data."""

    id: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An idempotency row: the answer to give again to the same caller, key and fingerprint."""

    caller: str
    key: str
    fingerprint: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    expires: datetime


@dataclass(frozen=True, slots=True)
class Shape:
    """What a writing statement's text depends on."""

    type: str
    kind: Kind
    guards: tuple[str, ...]
    values: bool
    events: bool
    answer: bool


class Writer:
    """Compiles and fills writing statements."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._sql = lru_cache(maxsize=1024)(self._compile)
        self._reindex = lru_cache(maxsize=512)(self._compile_reindex)

    def statement(
        self,
        tenant: str,
        change: Change,
        guards: Sequence[Guard],
        events: Sequence[OutboxEvent],
        answer: KeptAnswer | None,
    ) -> tuple[str, dict[str, Any]]:
        """SQL and arguments; the statement yields one row when it wrote, none when a guard or
        base version no longer holds."""
        shape = Shape(
            change.stored.type,
            change.kind,
            tuple(guard.type for guard in guards),
            bool(change.row and change.row.values),
            bool(events),
            answer is not None,
        )
        args: dict[str, Any] = {"tenant": tenant, "now": change.stored.updated}
        args |= _resource_args(change)
        for n, guard in enumerate(guards):
            args[f"guard{n}_id"], args[f"guard{n}_version"] = guard.id, guard.version
        if events:
            args |= _event_args(events)
        if answer:
            args |= _answer_args(answer)
        return self._sql(shape), args

    def reindex(self, tenant: str, stored: Stored, row: IndexRow) -> tuple[str, dict[str, Any]]:
        """Makes the search columns of that version anew. Never waits; yields no row when the
        version is gone, being written, or indexed by the same declarations already."""
        args = {"tenant": tenant, **_resource_args(Change("update", stored, row, stored.version))}
        return self._reindex(stored.type, bool(row.values)), args

    def answer_only(self, tenant: str, now: datetime, answer: KeptAnswer) -> tuple[str, Any]:
        """Keeps an answer to a request that changed no resource."""
        table = self._tables.idempotency
        nothing = select(literal_column("1")).cte("written")
        kept = insert_answer(table, nothing)
        return sql_text(select(literal_column("1")).add_cte(kept)), {
            "tenant": tenant,
            "now": now,
            **_answer_args(answer),
        }

    def _compile(self, shape: Shape) -> str:
        guards = [
            self._guard(n, resource_type).cte(f"guard{n}")
            for n, resource_type in enumerate(shape.guards)
        ]
        held = and_(*(exists(select(guard.c.id)) for guard in guards)) if guards else true()
        written, others = self._resource(shape, held)
        parts = [*others, *self._beside(shape, written)]
        return sql_text(select(written.c.id).add_cte(*guards, *parts))

    def _compile_reindex(self, resource_type: str, values: bool) -> str:  # noqa: FBT001 - cached
        tables = self._tables.resources[resource_type]
        old = _stale(tables.current)
        written = _update(tables.current, old, _search_columns(tables.current))
        indexed = [_insert_values(tables, written)] if values else []
        parts = [_clear_values(tables, old), *indexed]
        return sql_text(select(written.c.id).add_cte(*parts))

    def _guard(self, n: int, resource_type: str) -> Any:
        table = self._tables.resources[resource_type].current
        return (
            select(table.c.id)
            .where(
                table.c.id == bindparam(f"guard{n}_id", type_=Text),
                table.c.version == bindparam(f"guard{n}_version"),
            )
            .with_for_update(read=True)
        )

    def _resource(self, shape: Shape, held: ColumnElement[bool]) -> tuple[CTE, list[CTE]]:
        tables = self._tables.resources[shape.type]
        if shape.kind == "create":
            written = _insert(tables.current, held)
            return written, [_insert_values(tables, written)] if shape.values else []
        old = _old(tables.current, held)
        history = _supersede(self._tables.history, shape.type, old)
        if shape.kind == "delete":
            written = _delete(tables.current, old)
            tombstone = _tombstone(self._tables.history, shape.type, old)
            return written, [history, tombstone, _clear_values(tables, old)]
        names = [name for name in _written_columns(tables.current) if name != "id"]
        written = _update(tables.current, old, names)
        values = [_insert_values(tables, written)] if shape.values else []
        return written, [history, _clear_values(tables, old), *values]

    def _beside(self, shape: Shape, written: CTE) -> list[CTE]:
        parts = []
        if shape.events:
            parts.append(_insert_events(self._tables.outbox, written))
        if shape.answer:
            parts.append(insert_answer(self._tables.idempotency, written))
        return parts


def _written_columns(table: Table) -> list[str]:
    return [c.name for c in table.columns if c.name != "tenant"]


def _search_columns(table: Table) -> list[str]:
    """What an IndexRow has a say in."""
    hot = [name for name in _written_columns(table) if name.startswith(HOT)]
    return ["keys", "sorts", "indexed", *hot]


def _parameter(table: Table, name: str) -> ColumnElement[Any]:
    return cast(bindparam(f"r_{name}"), _plain(table.c[name].type)).label(name)


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type as a cast may name it, which is without a collation."""
    return Text() if isinstance(kind, Text) else kind


def _insert(table: Table, held: ColumnElement[bool]) -> CTE:
    names = _written_columns(table)
    source = select(
        cast(bindparam("tenant"), Text), *(_parameter(table, name) for name in names)
    ).where(held)
    return (
        insert(table).from_select(["tenant", *names], source).returning(table.c.id).cte("written")
    )


def _old(table: Table, held: ColumnElement[bool]) -> CTE:
    """The version superseded. Having waited for a reindexing, a statement would not see the value
    rows that it has to clear; it then finds another fingerprint than before, and gives up."""
    before = table.alias("before")
    seen = select(before.c.indexed).where(before.c.id == bindparam("r_id", type_=Text))
    return (
        select(table.c.id, table.c.version, table.c.updated, table.c.body, table.c.made)
        .where(
            table.c.id == bindparam("r_id", type_=Text),
            table.c.version == bindparam("base"),
            table.c.indexed.is_not_distinct_from(seen.scalar_subquery()),
            held,
        )
        .with_for_update()
        .cte("old")
    )


def _stale(table: Table) -> CTE:
    return (
        select(table.c.id)
        .where(
            table.c.id == bindparam("r_id", type_=Text),
            table.c.version == bindparam("base"),
            table.c.indexed.is_distinct_from(cast(bindparam("r_indexed"), BigInteger)),
        )
        .with_for_update(skip_locked=True)
        .cte("old")
    )


def _supersede(history: Table, resource_type: str, old: CTE) -> CTE:
    source = select(
        cast(bindparam("tenant"), Text),
        constant(resource_type),
        old.c.id,
        old.c.version,
        old.c.updated,
        old.c.body,
        old.c.made,
    )
    names = ["tenant", "type", "id", "version", "updated", "body", "made"]
    return insert(history).from_select(names, source).cte("superseded")


def _tombstone(history: Table, resource_type: str, old: CTE) -> CTE:
    source = select(
        cast(bindparam("tenant"), Text),
        constant(resource_type),
        old.c.id,
        old.c.version + literal_column("1"),
        bindparam("now", type_=history.c.updated.type),
    )
    names = ["tenant", "type", "id", "version", "updated"]
    return insert(history).from_select(names, source).cte("tombstone")


def _update(table: Table, old: CTE, names: Sequence[str]) -> CTE:
    return (
        update(table)
        .values({name: _parameter(table, name) for name in names})
        .where(table.c.id == old.c.id)
        .returning(table.c.id)
        .cte("written")
    )


def _delete(table: Table, old: CTE) -> CTE:
    return delete(table).where(table.c.id == old.c.id).returning(table.c.id).cte("written")


def _clear_values(tables: ResourceTables, old: CTE) -> CTE:
    return delete(tables.values).where(tables.values.c.id == old.c.id).cte("cleared")


def _insert_values(tables: ResourceTables, written: CTE) -> CTE:
    table = tables.values
    arrays = [
        cast(bindparam(f"v_{name}"), ARRAY(_plain(table.c[name].type))) for name in VALUE_COLUMNS
    ]
    rows = func.unnest(*arrays).table_valued(*VALUE_COLUMNS, name="value_rows").render_derived()
    source = select(
        cast(bindparam("tenant"), Text),
        written.c.id,
        *(rows.c[name] for name in VALUE_COLUMNS),
    ).select_from(written, rows)
    return insert(table).from_select(["tenant", "id", *VALUE_COLUMNS], source).cte("indexed")


def _insert_events(outbox: Table, written: CTE) -> CTE:
    names = ("id", "type", "subject", "data")
    arrays = [cast(bindparam(f"e_{name}"), ARRAY(Text)) for name in names]
    rows = func.unnest(*arrays).table_valued(*names, name="event_rows").render_derived()
    source = select(
        cast(bindparam("tenant"), Text),
        rows.c.id,
        rows.c.type,
        rows.c.subject,
        bindparam("now", type_=outbox.c.time.type),
        cast(rows.c.data, JSONB),
    ).select_from(written, rows)
    return (
        insert(outbox)
        .from_select(["tenant", "id", "type", "subject", "time", "data"], source)
        .cte("announced")
    )


def _resource_args(change: Change) -> dict[str, Any]:
    stored = change.stored
    args: dict[str, Any] = {"r_id": stored.id, "base": change.base}
    if change.row is None:
        return args
    args |= {
        "r_version": stored.version,
        "r_updated": stored.updated,
        "r_body": stored.body.decode(),
        "r_keys": change.row.keys,
        "r_sorts": orjson.dumps(change.row.sorts).decode(),
        "r_indexed": change.row.fingerprint,
        "r_made": stored.made,
    }
    args |= {f"r_{name}": value for name, value in change.row.hot.items()}
    if change.row.values:
        for name in VALUE_COLUMNS:
            args[f"v_{name}"] = [getattr(value, name) for value in change.row.values]
    return args


def _event_args(events: Sequence[OutboxEvent]) -> dict[str, Any]:
    return {
        "e_id": [event.id for event in events],
        "e_type": [event.type for event in events],
        "e_subject": [event.subject for event in events],
        "e_data": [orjson.dumps(event.data).decode() for event in events],
    }


def _answer_args(answer: KeptAnswer) -> dict[str, Any]:
    return {
        "i_caller": answer.caller,
        "i_key": answer.key,
        "i_fingerprint": answer.fingerprint,
        "i_status": answer.status,
        "i_headers": orjson.dumps(dict(answer.headers)).decode(),
        "i_answer": answer.body.decode(),
        "i_expires": answer.expires,
    }
