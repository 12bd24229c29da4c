"""Shape → SQL predicate: one function for each word a shape may start with.

Row-level security decides the forms used here. Beneath it PostgreSQL uses an index only for
operators known to be leakproof, and a join clause with a function of a column (`substr(ref)`) is
not. So a sub-query becomes an array parameter; or it is kept correlated by `OFFSET 0`, and what
it compares with is computed in a `SELECT` of its own: the index serves both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Numeric,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    text,
    true,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.types import TypeEngine

from fhir_server.store.keys import parameter_mask
from fhir_server.store.search.node import Shape
from fhir_server.store.tables import Instant, Tables, column_name

Condition = ColumnElement[bool]
_NAME = re.compile(r"[A-Za-z0-9_\-]+")


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
class Builder:
    """Builds predicates on `tables`; `binds` are taken in the order of a node's values."""

    tables: Tables
    binds: Binds

    def row(self, resource_type: str) -> Row:
        """A fresh alias of the type's table."""
        source = self.tables.resources[resource_type].current.alias()
        return Row(resource_type, source.c, source)

    def value_rows(self, resource_type: str) -> FromClause:
        """A fresh alias of the type's value table."""
        return self.tables.resources[resource_type].values.alias()

    def where(self, shape: Shape, row: Row) -> Condition:
        """The condition that `shape` is on `row`."""
        return _BUILD[shape[0]](self, shape, row)

    def holds(self, shape: Shape, row: Row) -> Condition:
        """The same as a value: true or false, never null."""
        return self.where(shape, row).is_(true())

    def _all(self, shapes: tuple[Shape, ...], row: Row) -> list[Condition]:
        return [self.where(shape, row) for shape in shapes]

    def _and(self, shape: Shape, row: Row) -> Condition:
        return and_(*self._all(shape[1], row))

    def _or(self, shape: Shape, row: Row) -> Condition:
        return or_(*self._all(shape[1], row))

    def _not(self, shape: Shape, row: Row) -> Condition:
        return not_(self.where(shape[1], row))

    def _keys(self, _shape: Shape, row: Row) -> Condition:
        return overlap(row, self.binds.take(_KEYS))

    def _filter(self, _shape: Shape, row: Row) -> Condition:
        # IS TRUE keeps the key index out of it.
        return overlap(row, self.binds.take(_KEYS)).is_(true())

    def _id(self, _shape: Shape, row: Row) -> Condition:
        return condition(row.c.id == any_(self.binds.take(_TEXTS)))

    def _this(self, shape: Shape, row: Row) -> Condition:
        return overlap(row, alone(array([THIS_KEY.op("#")(mask(shape[1]))])))

    def _updated(self, shape: Shape, row: Row) -> Condition:
        after = row.c.updated + text("interval '1 millisecond'")
        return self._compared(shape, (row.c.updated, after), None)

    def _hot_date(self, shape: Shape, row: Row) -> Condition:
        name = column_name(shape[1])
        return self._compared(shape, (row.c[name], row.c[name + "_high"]), None)

    def _value(self, shape: Shape, row: Row) -> Condition:
        values = self.value_rows(row.type)
        kind = shape[2].partition("-")[0]
        columns = tuple(values.c[name] for name in _COLUMNS[kind])
        met = self._compared(shape, columns, values.c.unit)
        return exists().where(values.c.id == row.c.id, values.c.param == name_of(shape[1]), met)

    def _compared(self, shape: Shape, columns: tuple[Any, ...], unit: Any) -> Condition:
        _, _, comparison, many = shape
        kind, _, prefix = comparison.partition("-")
        types = _TYPES[kind]
        if not many:
            bound: list[Any] = [self.binds.take(of) for of in types]
            return _compare(kind, prefix, columns, bound, unit)
        arrays = [self.binds.take(ARRAY(of)) for of in types]
        names = [f"b{n}" for n in range(len(types))]
        wanted = func.unnest(*arrays).table_valued(*names).render_derived()
        met = _compare(kind, prefix, columns, [wanted.c[name] for name in names], unit)
        return exists(select(true()).select_from(wanted).where(met))

    def _chain_row(self, shape: Shape, row: Row) -> Condition:
        _, code, target_type, met = shape
        target = self.row(target_type)
        column = row.c[column_name(code)]
        start = name_of(target_type + "/")
        found = (
            select(true())
            .select_from(target.source)
            .where(
                target.c.id == alone(after_type(column, target_type), row.source),
                func.starts_with(column, start),
                self.where(met, target),
            )
            .correlate(row.source)
            .offset(literal_column("0"))
        )
        return exists(found)

    def _chain_column(self, shape: Shape, row: Row) -> Condition:
        _, code, target_type, met = shape
        target = self.row(target_type)
        references = select(name_of(target_type + "/").op("||")(target.c.id))
        return condition(
            row.c[column_name(code)] == any_(array_of(references.where(self.where(met, target))))
        )

    def _chain_keys(self, shape: Shape, row: Row) -> Condition:
        _, code, target_type, met = shape
        target = self.row(target_type)
        referring = select(first_key(target).op("#")(mask(code)))
        return overlap(row, array_of(referring.where(self.where(met, target))))

    def _has_column(self, shape: Shape, row: Row) -> Condition:
        return condition(row.c.id == any_(array_of(self._referred(shape, row).distinct())))

    def _has_columns(self, shape: Shape, row: Row) -> Condition:
        start = self.binds.at
        first = self._referred(shape, row)
        self.binds.at = start
        both = union(first, self._referred_further(shape, row)).subquery()
        return condition(row.c.id == any_(array_of(select(both.c[0]))))

    def _referred(self, shape: Shape, row: Row) -> Select[Any]:
        """The ids of the row's type in the column of the resources that refer to it."""
        _, source_type, code, met = shape
        source = self.row(source_type)
        column = source.c[column_name(code)]
        return select(after_type(column, row.type).label("id")).where(
            func.starts_with(column, name_of(row.type + "/")), self.where(met, source)
        )

    def _referred_further(self, shape: Shape, row: Row) -> Select[Any]:
        """The same, from the further references in the value table."""
        _, source_type, code, met = shape
        source, values = self.row(source_type), self.value_rows(source_type)
        return select(after_type(values.c.norm, row.type).label("id")).where(
            values.c.id == source.c.id,
            values.c.param == name_of(code),
            func.starts_with(values.c.norm, name_of(row.type + "/")),
            self.where(met, source),
        )

    def _has_keys(self, shape: Shape, row: Row) -> Condition:
        _, source_type, code, met = shape
        source = self.row(source_type)
        # Unmasking every key of a referring row gives the hash of each target, and noise that
        # is no resource's hash.
        own = select(func.unnest(source.c["keys"]).op("#")(mask(code)))
        return overlap(row, array_of(own.where(self.where(met, source))))


def _true(_builder: Builder, _shape: Shape, _row: Row) -> Condition:
    return true()


def _false(_builder: Builder, _shape: Shape, _row: Row) -> Condition:
    return false()


Build = Callable[[Builder, Shape, Row], Condition]
_BUILD: Final[Mapping[str, Build]] = {
    "true": _true,
    "false": _false,
    "and": Builder._and,
    "or": Builder._or,
    "not": Builder._not,
    "keys": Builder._keys,
    "codes": Builder._keys,
    "filter": Builder._filter,
    "id": Builder._id,
    "this": Builder._this,
    "updated": Builder._updated,
    "hot-date": Builder._hot_date,
    "value": Builder._value,
    "chain-row": Builder._chain_row,
    "chain-column": Builder._chain_column,
    "chain-keys": Builder._chain_keys,
    "has-column": Builder._has_column,
    "has-columns": Builder._has_columns,
    "has-keys": Builder._has_keys,
}

_KEYS: Final = ARRAY(BigInteger)
_TEXTS: Final = ARRAY(Text)
# The row of the page on which a derived field is computed.
THIS_KEY: Final = literal_column("page.own", BigInteger)
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "starts": ("norm", "norm"),
    "contains": ("norm", "norm"),
    "exact": ("norm", "exact"),
    "date": ("since", "until"),
    "number": ("low", "high"),
    "unit": ("low", "high"),
}
_TYPES: Final[Mapping[str, tuple[TypeEngine[Any], ...]]] = {
    "starts": (Text(), Text()),
    "contains": (Text(), Text()),
    "exact": (Text(), Text()),
    "date": (Instant, Instant),
    "number": (Numeric(), Numeric()),
    "unit": (Numeric(), Numeric(), Text()),
}


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
    """A declared name (parameter, `Type/`) as an SQL literal, so that plans know it."""
    if not _NAME.fullmatch(name.removesuffix("/")):
        raise ValueError(name)
    return literal_column(f"'{name}'", Text)


def mask(code: str) -> ColumnElement[int]:
    """The parameter's mask as an SQL literal."""
    return literal_column(f"'{parameter_mask(code)}'::bigint", BigInteger)


def first_key(row: Row) -> ColumnElement[int]:
    """The hash of the row's own reference."""
    return row.c["keys"][literal_column("1")]  # type: ignore[no-any-return]


def _compare(
    kind: str, prefix: str, columns: tuple[Any, ...], bound: list[Any], unit: Any
) -> Condition:
    if kind == "date":
        return _DATES[prefix](*columns, *bound)
    if kind in {"number", "unit"}:
        met = _NUMBERS[prefix](*columns, *bound[:2])
        return and_(met, unit == bound[2] if kind == "unit" else unit.is_(None))
    return _STRINGS[kind](*columns, *bound)


# Column interval [since, until), asked interval [low, high). A comparison of `since` that the
# others imply is added where it lets a B-tree on `since` stop early.
_DATES: Final[Mapping[str, Callable[..., Condition]]] = {
    "eq": lambda since, until, low, high: and_(since >= low, since <= high, until <= high),
    "ne": lambda since, until, low, high: or_(since < low, until > high),
    "gt": lambda _since, until, _low, high: until > high,
    "lt": lambda since, _until, low, _high: since < low,
    "ge": lambda since, until, low, high: or_(since >= low, until > high),
    "le": lambda since, until, low, high: and_(since <= high, or_(since < low, until <= high)),
    "sa": lambda since, _until, _low, high: since >= high,
    "eb": lambda since, until, low, _high: and_(since <= low, until <= low),
    "ap": lambda since, until, low, high: and_(since < high, until > low),
}
# Column range [least, most], asked range [low, high).
_NUMBERS: Final[Mapping[str, Callable[..., Condition]]] = {
    "eq": lambda least, most, low, high: and_(least >= low, least < high, most < high),
    "ne": lambda least, most, low, high: or_(least < low, most >= high),
    "gt": lambda _least, most, low, _high: most > low,
    "lt": lambda least, _most, low, _high: least < low,
    "ge": lambda _least, most, low, _high: most >= low,
    "le": lambda least, _most, low, _high: least <= low,
    "sa": lambda least, _most, low, _high: least > low,
    "eb": lambda _least, most, low, _high: most < low,
    "ap": lambda least, most, low, high: and_(least <= high, most >= low),
}
_STRINGS: Final[Mapping[str, Callable[..., Condition]]] = {
    "starts": lambda norm, _, low, high: and_(norm >= low, norm < high),
    "contains": lambda norm, _, part, __: func.strpos(norm, part) > literal_column("0"),
    "exact": lambda norm, exact, folded, whole: and_(norm == folded, exact == whole),
}
