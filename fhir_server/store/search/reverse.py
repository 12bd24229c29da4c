"""Conditions on the resources that refer to a resource (`_has`), as SQL.

The referring resources become a set of ids first (see links.py for why it is an array). Many of
them refer to the same resource, as a user's unread messages do to a few threads: so where the
access policy looks at nothing but columns and keys, it is asked once for all that are alike in
these (alike.py), not for each.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    any_,
    exists,
    func,
    literal_column,
    select,
    true,
    union,
)
from sqlalchemy.dialects.postgresql import array

from fhir_server.store.search.alike import groups, policy_of, told
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
    other_keys,
    overlap,
)
from fhir_server.store.search.node import EVERYTHING, Shape
from fhir_server.store.tables import column_name


def has_column(build: Building, shape: Shape, row: Row) -> Condition:
    return _among(build, shape, row, [_first])


def has_columns(build: Building, shape: Shape, row: Row) -> Condition:
    return _among(build, shape, row, [_first, _further])


def has_keys(build: Building, shape: Shape, row: Row) -> Condition:
    _, source_type, code, asked, policy = shape
    source = build.row(source_type)
    # Unmasking every key of a referring row gives the hash of each target, and noise that
    # is no resource's hash.
    own = select(func.unnest(other_keys(source)).op("#")(mask(code)))
    met = build.where(asked, source), build.where(policy, source)
    return overlap(row, array_of(own.where(*met)))


def has_row_keys(build: Building, shape: Shape, row: Row) -> Condition:
    """For one row at a time, which is what a policy asks about."""
    _, source_type, code, asked, policy = shape
    source = build.row(source_type)
    referring = alone(array([first_key(row).op("#")(mask(code))]), row.source)
    met = build.where(asked, source), build.where(policy, source)
    found = (
        select(true())
        .select_from(source.source)
        .where(overlap(source, referring), *met)
        .correlate(row.source)
        .offset(literal_column("0"))
    )
    return exists(found)


# A reference of `source` under a parameter, and the conditions that it is one.
Refers = tuple[ColumnElement[str], list[Condition]]


def _first(_build: Building, source: Row, code: str) -> Refers:
    """The one in the column."""
    return source.c[column_name(code)], []


def _further(build: Building, source: Row, code: str) -> Refers:
    """Those in the value table."""
    values = build.value_rows(source.type)
    # A reference is never null; only so does PostgreSQL see that the index has it.
    there = values.c.norm.is_not(None)
    return values.c.norm, [values.c.id == source.c.id, values.c.param == name_of(code), there]


def _among(build: Building, shape: Shape, row: Row, ways: list[Any]) -> Condition:
    """The row is one that resources meeting the condition refer to."""
    _, source_type, code, asked, policy = shape
    alike = policy != EVERYTHING.shape and groups(policy)
    start = build.binds.at
    found = []
    for way in ways:
        build.binds.at = start
        source = build.row(source_type)
        reference, of = way(build, source, code)
        met = select(reference.label("ref")).where(*of, build.where(asked, source))
        after = build.binds.at
        if alike:
            found.append(met.add_columns(*told(build, policy, source)))
        else:
            found.append(met.where(build.where(policy, source)))
    # OFFSET keeps what is asked of the alike from being asked of each before.
    hits = _distinct(found).offset(literal_column("0")).subquery("hits")
    ids = select(after_type(hits.c.ref, row.type)).where(
        func.starts_with(hits.c.ref, name_of(row.type + "/"))
    )
    if alike:
        build.binds.at = after
        ids = ids.where(policy_of(build, policy, Row(source_type, hits.c, hits), source))
    return condition(row.c.id == any_(array_of(ids)))


def _distinct(found: list[Select[Any]]) -> Any:
    return union(*found) if len(found) > 1 else found[0].distinct()
