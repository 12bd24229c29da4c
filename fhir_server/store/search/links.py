"""Conditions on other resources, as SQL.

Row-level security decides the forms used here. Beneath it PostgreSQL uses an index only for
operators known to be leakproof, and a join clause with a function of a column (`substr(ref)`) is
not. So a sub-query becomes an array parameter; or it is kept correlated by `OFFSET 0`, and what
it compares with is computed in a `SELECT` of its own: the index serves both.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, any_, exists, func, literal_column, select, true, union

from fhir_server.store.search.building import (
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
    overlap,
)
from fhir_server.store.search.node import Shape
from fhir_server.store.tables import column_name


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
    held = func.unnest(row.c["keys"]).column_valued("held")
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


def has_column(build: Building, shape: Shape, row: Row) -> Condition:
    return condition(row.c.id == any_(array_of(_referred(build, shape, row).distinct())))


def has_columns(build: Building, shape: Shape, row: Row) -> Condition:
    start = build.binds.at
    first = _referred(build, shape, row)
    build.binds.at = start
    both = union(first, _referred_further(build, shape, row)).subquery()
    return condition(row.c.id == any_(array_of(select(both.c[0]))))


def has_keys(build: Building, shape: Shape, row: Row) -> Condition:
    _, source_type, code, met = shape
    source = build.row(source_type)
    # Unmasking every key of a referring row gives the hash of each target, and noise that
    # is no resource's hash.
    own = select(func.unnest(source.c["keys"]).op("#")(mask(code)))
    return overlap(row, array_of(own.where(build.where(met, source))))


def _referred(build: Building, shape: Shape, row: Row) -> Select[Any]:
    """The ids of the row's type in the column of the resources that refer to it."""
    _, source_type, code, met = shape
    source = build.row(source_type)
    column = source.c[column_name(code)]
    return select(after_type(column, row.type).label("id")).where(
        func.starts_with(column, name_of(row.type + "/")), build.where(met, source)
    )


def _referred_further(build: Building, shape: Shape, row: Row) -> Select[Any]:
    """The same, from the further references in the value table."""
    _, source_type, code, met = shape
    source, values = build.row(source_type), build.value_rows(source_type)
    return select(after_type(values.c.norm, row.type).label("id")).where(
        values.c.id == source.c.id,
        values.c.param == name_of(code),
        func.starts_with(values.c.norm, name_of(row.type + "/")),
        build.where(met, source),
    )
