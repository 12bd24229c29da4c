"""What the building of a predicate works with: aliases of tables, bound parameters, literals."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from fhir_server.store.keys import parameter_mask
from fhir_server.store.search.node import Shape
from fhir_server.store.tables import Tables

Condition = ColumnElement[bool]
KEYS: Final = ARRAY(BigInteger)
TEXTS: Final = ARRAY(Text)
_NAME = re.compile(r"[A-Za-z0-9_\-]+(?:\$[0-9]+|:text)?")


class Row(NamedTuple):
    """A resource type and the alias of its table in the statement."""

    type: str
    c: Any
    source: FromClause


@dataclass(slots=True)
class Binds:
    """Hands out parameters v0, v1 … in order; `at` may be set back to build a part again."""

    at: int = 0

    def take(self, of: TypeEngine[Any]) -> BindParameter[Any]:
        """The next one."""
        self.at += 1
        return bindparam(f"v{self.at - 1}", type_=of)


@dataclass(frozen=True, slots=True)
class Building(ABC):
    """Builds predicates on `tables`; `binds` are taken in the order of a node's values."""

    tables: Tables
    binds: Binds

    @abstractmethod
    def where(self, shape: Shape, row: Row) -> Condition:
        """The condition that `shape` is on `row`."""

    def holds(self, shape: Shape, row: Row) -> Condition:
        """The same as a value: true or false, never null."""
        return self.where(shape, row).is_(true())

    def row(self, resource_type: str) -> Row:
        """A fresh alias of the type's table."""
        source = self.tables.resources[resource_type].current.alias()
        return Row(resource_type, source.c, source)

    def value_rows(self, resource_type: str) -> FromClause:
        """A fresh alias of the type's value table."""
        return self.tables.resources[resource_type].values.alias()


def condition(element: Any) -> Condition:
    """Any SQL expression of a truth value, typed."""
    return element  # type: ignore[no-any-return]


def overlap(row: Row, wanted: ColumnElement[Any]) -> Condition:
    """The row has any of the keys."""
    return row.c["keys"].overlap(wanted)  # type: ignore[no-any-return]


def array_of(query: Select[Any]) -> ColumnElement[Any]:
    """The rows of a one-column query as an array, computed once per statement."""
    return func.array(query.scalar_subquery())


def alone(value: ColumnElement[Any], *outer: FromClause) -> ColumnElement[Any]:
    """`value`, from columns of `outer`, computed apart from the clause that compares with it."""
    return select(value).correlate(*outer).scalar_subquery()


def after_type(reference: ColumnElement[str], resource_type: str) -> ColumnElement[str]:
    """The id in a `Type/id` column."""
    return func.substr(reference, literal_column(str(len(resource_type) + 2)))


def name_of(name: str) -> ColumnElement[str]:
    """A declared name (parameter, part of a composite, `Type/`) as an SQL literal, so that plans
    know it."""
    if not _NAME.fullmatch(name.removesuffix("/")):
        raise ValueError(name)
    return literal_column(f"'{name}'", Text)


def mask(code: str) -> ColumnElement[int]:
    """The parameter's mask as an SQL literal."""
    return literal_column(f"'{parameter_mask(code)}'::bigint", BigInteger)


def other_keys(row: Row) -> ColumnElement[Any]:
    """The row's keys without that of the row itself, which unmasked is the key of whoever refers to
    it, and looks like a reference of its own."""
    return func.array_remove(row.c["keys"], first_key(row))


def first_key(row: Row) -> ColumnElement[int]:
    """The hash of the row's own reference."""
    return row.c["keys"][literal_column("1")]  # type: ignore[no-any-return]
