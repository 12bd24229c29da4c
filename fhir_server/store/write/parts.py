"""The parts of a writing statement, each a CTE over `r`, the rows that it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB
from sqlalchemy.sql.expression import FromClause
from sqlalchemy.types import TypeEngine

from fhir_server.store.sql import constant
from fhir_server.store.tables import HOT, ResourceTables
from fhir_server.store.write.arguments import VALUE_COLUMNS

TENANT = cast(bindparam("tenant"), Text)


def written_columns(table: Table) -> list[str]:
    """All but the tenant."""
    return [c.name for c in table.columns if c.name != "tenant"]


def search_columns(table: Table) -> list[str]:
    """What an IndexRow has a say in."""
    hot = [name for name in written_columns(table) if name.startswith(HOT)]
    return ["keys", "sorts", "indexed", *hot]


def given(table: Table, names: Sequence[str] = (), *, one: bool) -> FromClause:
    """The rows to write: id, the version each supersedes, and `names`. `one` row comes as plain
    values, which a plan is made of faster than of a function."""
    kinds: dict[str, Any] = {"id": Text(), "base": Integer()}
    kinds |= {name: _sent(table.c[name].type) for name in names if name != "id"}
    binding = {name: "base" if name == "base" else f"r_{name}" for name in kinds}
    if one:
        plain = (cast(bindparam(binding[n]), kind).label(n) for n, kind in kinds.items())
        return select(*plain).subquery("r")
    binds: list[ColumnElement[Any]] = [
        cast(bindparam(binding[n]), ARRAY(kind)) for n, kind in kinds.items()
    ]
    return func.unnest(*binds).table_valued(*kinds, name="r").render_derived()


def guarded(tables: Mapping[str, ResourceTables], types: Sequence[str]) -> ColumnElement[bool]:
    """That all guards' rows still are the versions seen; locks them until the commit."""
    held = [_held(n, tables[name].current) for n, name in enumerate(types)]
    return and_(*held) if held else true()


def inserted(table: Table, rows: FromClause, held: ColumnElement[bool]) -> CTE:
    names = written_columns(table)
    source = select(TENANT, *(_column(table, rows, name) for name in names)).where(held)
    return (
        insert(table).from_select(["tenant", *names], source).returning(table.c.id).cte("written")
    )


def current(table: Table, rows: FromClause, held: ColumnElement[bool]) -> CTE:
    """The versions superseded. Having waited for a reindexing, a statement would not see the value
    rows that it has to clear; it then finds another fingerprint than before, and gives up."""
    before = table.alias("before")
    seen = select(before.c.indexed).where(before.c.id == rows.c.id)
    return (
        select(table.c.id, table.c.version, table.c.updated, table.c.body, table.c.made)
        .select_from(table, rows)
        .where(
            table.c.id == rows.c.id,
            table.c.version == rows.c.base,
            table.c.indexed.is_not_distinct_from(seen.scalar_subquery()),
            held,
        )
        .with_for_update(of=table)
        .cte("old")
    )


def stale(table: Table, rows: FromClause) -> CTE:
    """Rows of that version that other declarations made; never waits for them."""
    return (
        select(table.c.id)
        .select_from(table, rows)
        .where(
            table.c.id == rows.c.id,
            table.c.version == rows.c.base,
            table.c.indexed.is_distinct_from(cast(rows.c.indexed, BigInteger)),
        )
        .with_for_update(of=table, skip_locked=True)
        .cte("old")
    )


def superseded(history: Table, resource_type: str, old: CTE) -> CTE:
    names = ["id", "version", "updated", "body", "made"]
    source = select(TENANT, constant(resource_type), *(old.c[name] for name in names))
    return insert(history).from_select(["tenant", "type", *names], source).cte("superseded")


def tombstones(history: Table, resource_type: str, old: CTE) -> CTE:
    source = select(
        TENANT,
        constant(resource_type),
        old.c.id,
        old.c.version + literal_column("1"),
        bindparam("now", type_=history.c.updated.type),
    )
    names = ["tenant", "type", "id", "version", "updated"]
    return insert(history).from_select(names, source).cte("tombstone")


def updated(table: Table, rows: FromClause, old: CTE, names: Sequence[str]) -> CTE:
    return (
        update(table)
        .values({name: _column(table, rows, name) for name in names})
        .where(table.c.id == old.c.id, rows.c.id == old.c.id)
        .returning(table.c.id)
        .cte("written")
    )


def deleted(table: Table, old: CTE) -> CTE:
    return delete(table).where(table.c.id == old.c.id).returning(table.c.id).cte("written")


def cleared(values: Table, old: CTE) -> CTE:
    return delete(values).where(values.c.id == old.c.id).cte("cleared")


def indexed(values: Table, written: CTE) -> CTE:
    """The value rows of what was written."""
    names = ("id", *VALUE_COLUMNS)
    arrays = [cast(bindparam(f"v_{n}"), ARRAY(_plain(values.c[n].type))) for n in names]
    rows = func.unnest(*arrays).table_valued(*names, name="value_rows").render_derived()
    source = (
        select(TENANT, *(rows.c[name] for name in names))
        .select_from(written, rows)
        .where(written.c.id == rows.c.id)
    )
    return insert(values).from_select(["tenant", *names], source).cte("indexed")


def announced(outbox: Table, written: CTE) -> CTE:
    names = ("id", "type", "subject", "data")
    arrays = [cast(bindparam(f"e_{name}"), ARRAY(Text)) for name in names]
    rows = func.unnest(*arrays).table_valued(*names, name="event_rows").render_derived()
    source = select(
        TENANT,
        rows.c.id,
        rows.c.type,
        rows.c.subject,
        bindparam("now", type_=outbox.c.time.type),
        cast(rows.c.data, JSONB),
    ).where(select(literal_column("1")).select_from(written).exists())
    columns = ["tenant", "id", "type", "subject", "time", "data"]
    return insert(outbox).from_select(columns, source).cte("announced")


def _held(n: int, table: Table) -> ColumnElement[bool]:
    arrays = (
        cast(bindparam(f"guard{n}_id"), ARRAY(Text)),
        cast(bindparam(f"guard{n}_version"), ARRAY(Integer)),
    )
    name = f"seen{n}"
    seen = func.unnest(*arrays).table_valued("id", "version", name=name).render_derived()
    held = (
        select(table.c.id)
        .select_from(table, seen)
        .where(table.c.id == seen.c.id, table.c.version == seen.c.version)
        .with_for_update(read=True, of=table)
        .cte(f"guard{n}")
    )
    count = select(func.count()).select_from(held).scalar_subquery()
    return count == func.cardinality(arrays[0])


def _column(table: Table, rows: FromClause, name: str) -> ColumnElement[Any]:
    kind = table.c[name].type
    column: ColumnElement[Any] = rows.c[name]
    wanted = _plain(kind)
    return column if type(_sent(kind)) is type(wanted) else cast(column, wanted)


def _sent(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type that a column's values are sent as."""
    return Text() if isinstance(kind, JSON | JSONB | ARRAY) else _plain(kind)


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type as a cast may name it, which is without a collation."""
    return Text() if isinstance(kind, Text) else kind
