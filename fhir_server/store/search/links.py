"""Conditions on other resources, as SQL.

Row-level security decides the forms used here. Beneath it PostgreSQL uses an index only for
operators known to be leakproof, and a join clause with a function of a column (`substr(ref)`) is
not. So a sub-query becomes an array parameter; or it is kept correlated by `OFFSET 0`, and what
it compares with is computed in a `SELECT` of its own: the index serves both.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, any_, exists, func, literal_column, or_, select, true

from fhir_server.store.search.building import (
    TEXTS,
    Building,
    Condition,
    Row,
    after_type,
    alone,
    array_of,
    condition,
    first_key,
    mask,
    name_of,
    other_keys,
    overlap,
)
from fhir_server.store.search.node import Shape
from fhir_server.store.tables import column_name


def refers(build: Building, shape: Shape, row: Row) -> Condition:
    """The row refers to any of the values: by its first reference or by a further one."""
    _, code, single = shape
    return refers_to_any(build, row, code, build.binds.take(TEXTS), single=single)


def refers_to_any(
    build: Building, row: Row, code: str, wanted: ColumnElement[Any], *, single: bool
) -> Condition:
    """The same of an array; `single` when no resource has a further reference."""
    first = row.c[column_name(code)] == any_(wanted)
    if single:
        return condition(first)
    values = build.value_rows(row.type)
    further = select(values.c.id).where(
        values.c.param == name_of(code), values.c.norm == any_(wanted)
    )
    return or_(first, row.c.id == any_(array_of(further)))


def chain_row_column(build: Building, shape: Shape, row: Row) -> Condition:
    _, code, target_type, met = shape
    target = build.row(target_type)
    column = row.c[column_name(code)]
    start = name_of(target_type + "/")
    found = (
        select(true())
        .select_from(target.source)
        .where(
            target.c.id == alone(after_type(column, target_type), row.source),
            func.starts_with(column, start),
            build.where(met, target),
        )
        .correlate(row.source)
        .offset(literal_column("0"))
    )
    return exists(found)


def chain_row_keys(build: Building, shape: Shape, row: Row) -> Condition:
    _, code, target_type, met = shape
    target = build.row(target_type)
    held = func.unnest(other_keys(row)).column_valued("held")
    # Unmasking every key of the row gives the hash of each target, and noise.
    referred = array_of(select(held.op("#")(mask(code))).correlate(row.source))
    found = (
        select(true())
        .select_from(target.source)
        .where(overlap(target, referred), build.where(met, target))
        .correlate(row.source)
        .offset(literal_column("0"))
    )
    return exists(found)


def chain_set_column(build: Building, shape: Shape, row: Row) -> Condition:
    _, code, target_type, met = shape
    target = build.row(target_type)
    references = select(name_of(target_type + "/").op("||")(target.c.id))
    return condition(
        row.c[column_name(code)] == any_(array_of(references.where(build.where(met, target))))
    )


def chain_set_keys(build: Building, shape: Shape, row: Row) -> Condition:
    _, code, target_type, met = shape
    target = build.row(target_type)
    referring = select(first_key(target).op("#")(mask(code)))
    return overlap(row, array_of(referring.where(build.where(met, target))))
