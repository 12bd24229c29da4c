"""Shape → SQL predicate: one function for each word a shape may start with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import BigInteger, and_, any_, false, literal_column, or_, true
from sqlalchemy.dialects.postgresql import array

from fhir_server.store.search import comparisons, links, reverse
from fhir_server.store.search.building import (
    KEYS,
    TEXTS,
    Binds,
    Building,
    Condition,
    Row,
    alone,
    condition,
    mask,
    overlap,
)
from fhir_server.store.search.node import Shape

__all__ = ["Binds", "Builder"]

# The row of the page on which a derived field is computed.
THIS_KEY: Final = literal_column("page.own", BigInteger)


class Builder(Building):
    """Builds every predicate there is."""

    __slots__ = ()

    def where(self, shape: Shape, row: Row) -> Condition:
        return _PREDICATES[shape[0]](self, shape, row)


def _true(_build: Building, _shape: Shape, _row: Row) -> Condition:
    return true()


def _false(_build: Building, _shape: Shape, _row: Row) -> Condition:
    return false()


def _and(build: Building, shape: Shape, row: Row) -> Condition:
    return and_(*(build.where(part, row) for part in shape[1]))


def _or(build: Building, shape: Shape, row: Row) -> Condition:
    return or_(*(build.where(part, row) for part in shape[1]))


def _not(build: Building, shape: Shape, row: Row) -> Condition:
    # What cannot be told, as of a column without a value, does not hold.
    return build.where(shape[1], row).is_not(true())


def _keys(build: Building, _shape: Shape, row: Row) -> Condition:
    return overlap(row, build.binds.take(KEYS))


def _filter(build: Building, _shape: Shape, row: Row) -> Condition:
    # IS TRUE keeps the key index out of it.
    return overlap(row, build.binds.take(KEYS)).is_(true())


def _id(build: Building, _shape: Shape, row: Row) -> Condition:
    return condition(row.c.id == any_(build.binds.take(TEXTS)))


def _this(_build: Building, shape: Shape, row: Row) -> Condition:
    return overlap(row, alone(array([THIS_KEY.op("#")(mask(shape[1]))])))


_PREDICATES: Final[Mapping[str, Callable[[Building, Shape, Row], Condition]]] = {
    "true": _true,
    "false": _false,
    "and": _and,
    "or": _or,
    "not": _not,
    "keys": _keys,
    "filter": _filter,
    "id": _id,
    "this": _this,
    "updated": comparisons.updated,
    "hot-date": comparisons.hot_date,
    "value": comparisons.value,
    "refers": links.refers,
    "composite": comparisons.composite,
    "words": comparisons.words,
    "chain-row-column": links.chain_row_column,
    "chain-row-keys": links.chain_row_keys,
    "chain-set-column": links.chain_set_column,
    "chain-set-keys": links.chain_set_keys,
    "has-column": reverse.has_column,
    "has-columns": reverse.has_columns,
    "has-keys": reverse.has_keys,
    "has-row-keys": reverse.has_row_keys,
}
