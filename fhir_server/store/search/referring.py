"""Includes in the statement of their search: a page and what goes with it in one round trip.

It serves where the reference has a typed column, and for `_include` where that holds the only one
and may lead to few types. Other includes need the matches' bodies, or go on from what they found:
includes.py asks for them in a second statement.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Subquery,
    Text,
    any_,
    cast,
    func,
    literal_column,
    null,
    select,
    union_all,
)

from fhir_server.store.search.building import Building, after_type, array_of, name_of
from fhir_server.store.search.links import refers_to_any
from fhir_server.store.search.node import Shape

MOST_INCLUDED = 5_000
CARRIED = "carried-"
_COLUMNS = ("id", "version", "updated", "body")


class Referring(NamedTuple):
    """Resources of `type` that meet `where` and refer to matches by `code`, or `forward` those
    that matches refer to; `single` when no resource has a further reference."""

    type: str
    code: str
    single: bool
    where: Shape
    forward: bool = False


def carried(code: str) -> str:
    """The column of a page that holds the reference."""
    return CARRIED + code


def with_referring(
    build: Building,
    page: Select[Any],
    size: ColumnElement[int],
    resource_type: str,
    wanted: tuple[Referring, ...],
) -> CompoundSelect[Any]:
    """`page`, then what refers to its first `size` rows; a last column says of which type a row
    is, null for a match. An Append runs its parts in turn, so the page keeps its order."""
    found = page.cte("matches")
    told = [column for column in found.c if not column.name.startswith(CARRIED)]
    shown = select(found).limit(size).subquery("shown")
    matches = select(*told, cast(null(), Text).label("included"))
    rest = [null() for _ in told[len(_COLUMNS) :]]
    return union_all(
        matches, *(_included(build, shown, resource_type, one, rest) for one in wanted)
    )


def _included(
    build: Building, shown: Subquery, resource_type: str, one: Referring, rest: list[Any]
) -> Select[Any]:
    row = build.row(one.type)
    if one.forward:
        reference = shown.c[carried(one.code)]
        local = func.starts_with(reference, name_of(one.type + "/"))
        refers = row.c.id == any_(array_of(select(after_type(reference, one.type)).where(local)))
    else:
        own = array_of(select(name_of(resource_type + "/").op("||")(shown.c.id)))
        refers = refers_to_any(build, row, one.code, own, single=one.single)
    return (
        select(*(row.c[name] for name in _COLUMNS), *rest, name_of(one.type))
        .where(refers, build.where(one.where, row))
        .limit(literal_column(str(MOST_INCLUDED + 1)))
    )
