"""A whole search as one SQL statement, built once for each shape.

A search on a hot reference is *driven* by it: the first reference of a resource is a column, so a
compound B-tree yields the rows in the wanted order and stops at the limit; a resource's further
references stand in the value table and make a second part. The cursor's position may cut each
part in two (see order.py). Every part has the limit; the parts together are sorted and limited
again. With one part, which is the common case, the statement is just that part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Subquery,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from fhir_server.store.search.building import (
    Binds,
    Condition,
    Row,
    alone,
    array_of,
    first_key,
    name_of,
)
from fhir_server.store.search.node import Shape
from fhir_server.store.search.order import Key, expression, ordered, regions
from fhir_server.store.search.predicates import Builder
from fhir_server.store.search.referring import CARRIED, Referring, carried, with_referring
from fhir_server.store.sql import sql_text
from fhir_server.store.tables import Tables, column_name

# Other limits are bound: plans know these, and the number of shapes stays small.
USUAL_LIMITS = frozenset({1, 2, 11, 21, 26, 51, 101})


@dataclass(frozen=True, slots=True)
class Drive:
    """The hot reference that a search is driven by: `many` values or one, or the row of the page
    (`this`); `single` when no resource has a further one."""

    code: str
    many: bool
    single: bool
    this: str = ""


@dataclass(frozen=True, slots=True)
class SearchShape:
    """What a search's text depends on. `missing` tells of each cursor value whether it is null;
    it is None where the page begins at an end of the order."""

    type: str
    where: Shape
    drive: Drive | None = None
    order: tuple[Key, ...] = ()
    missing: tuple[bool, ...] | None = None
    limit: int | None = None
    derived: tuple[DerivedShape, ...] = ()
    total: bool = False
    rows: bool = True
    referring: tuple[Referring, ...] = ()


@dataclass(frozen=True, slots=True)
class DerivedShape:
    """A sub-search for each row of the page: `count`, `exists`, or the `first` one's body."""

    kind: str
    search: SearchShape


def search_sql(tables: Tables, shape: SearchShape) -> str:
    """The statement's text. Its rows: id, version, updated, body, the sort values, the derived
    values, the total when asked for, and where there is `referring` the type of a row that is no
    match; only the total when `rows` is false."""
    return sql_text(_Statement(Builder(tables, Binds())).answer(shape))


def several_sql(tables: Tables, shapes: tuple[SearchShape, ...]) -> str:
    """Several searches as one statement; its rows: type, id, version, updated, body."""
    statement = _Statement(Builder(tables, Binds()))
    return sql_text(union_all(*(statement.typed(shape) for shape in shapes)))


def estimate_sql(tables: Tables, shape: SearchShape) -> str:
    """The number of matches, but no more than ENOUGH.

    Not the planner's statistics: these are of all tenants' rows, and of what the caller may not
    see; asking of one value beside another told how frequent it is among those.
    """
    matches = _Statement(Builder(tables, Binds())).matches(shape)
    found = matches.limit(literal_column(str(ENOUGH))).subquery()
    return sql_text(select(func.count()).select_from(found))


def across_sql(tables: Tables, shapes: tuple[SearchShape, ...]) -> str:
    """One page of several searches in the same order; its rows: type, id, version, updated, body,
    the sort values, and the total when asked for; only the total when `rows` is false."""
    statement = _Statement(Builder(tables, Binds()))
    if not shapes[0].rows:
        return sql_text(select(_sum([statement.count(shape) for shape in shapes])))
    return sql_text(statement.across(shapes))


# As far as an estimate counts.
ENOUGH: Final = 10_000
# An alias of the type's table, and the search's condition on it.
Driven = tuple[Row, Condition]
_COLUMNS = ("id", "version", "updated", "body")


@dataclass(slots=True)
class _Statement:
    build: Builder

    def answer(self, shape: SearchShape) -> Select[Any] | CompoundSelect[Any]:
        whole = self.whole(shape)
        if not shape.referring or not shape.rows:
            return whole
        size = self._limit(shape) - literal_column("1")
        return with_referring(self.build, whole, size, shape.type, shape.referring)

    def whole(self, shape: SearchShape) -> Select[Any]:
        if not shape.rows:
            return select(self.count(shape))
        parts = self._parts(shape)
        after = self.build.binds.at
        self.build.binds.at = 0
        total = self.count(shape) if shape.total else None
        self.build.binds.at = after
        limit = self._limit(shape)
        parts = [part.limit(limit) for part in parts]
        if len(parts) == 1 and not shape.derived and total is None:
            return parts[0]
        return self._page(shape, _together(parts, "page"), limit, total)

    def across(self, shapes: tuple[SearchShape, ...]) -> Select[Any]:
        counts, parts = [], []
        for shape in shapes:
            start = self.build.binds.at
            if shape.total:
                counts.append(self.count(shape))
            self.build.binds.at = start
            found = self.whole(replace(shape, total=False)).subquery()
            parts.append(select(name_of(shape.type).label("type"), *found.c))
        page = union_all(*parts).subquery("page")
        order = [ordered(key, page.c[f"s{n}"]) for n, key in enumerate(shapes[0].order)]
        extra = [_sum(counts).label("total")] if counts else []
        return select(*page.c, *extra).order_by(*order).limit(self._limit(shapes[0]))

    def typed(self, shape: SearchShape) -> Select[Any]:
        found = self.whole(shape).subquery()
        return select(name_of(shape.type), *(found.c[name] for name in _COLUMNS))

    def matches(self, shape: SearchShape) -> CompoundSelect[Any]:
        found = []
        for driven in self._drives(shape):
            self.build.binds.at = 0
            row, met = driven(shape)
            found.append(select(row.c.id).where(met))
        return union_all(*found)

    def _page(
        self,
        shape: SearchShape,
        page: Subquery,
        limit: ColumnElement[int],
        total: ColumnElement[int] | None,
    ) -> Select[Any]:
        sorts = [page.c[f"s{n}"] for n in range(len(shape.order))]
        kept = [column for column in page.c if column.name.startswith(CARRIED)]
        derived = [self._derived(one).label(f"d{n}") for n, one in enumerate(shape.derived)]
        extra = [] if total is None else [total.label("total")]
        columns = [page.c[name] for name in _COLUMNS]
        order = [ordered(key, sort) for key, sort in zip(shape.order, sorts, strict=True)]
        return select(*columns, *sorts, *derived, *kept, *extra).order_by(*order).limit(limit)

    def _limit(self, shape: SearchShape) -> ColumnElement[int]:
        if shape.limit is not None:
            return literal_column(str(int(shape.limit)))
        # Bound by name, for it is not one of the conditions' values.
        limit: ColumnElement[int] = cast(bindparam("page_limit"), Integer)
        return limit

    def _parts(self, shape: SearchShape) -> list[Select[Any]]:
        """The disjoint selections whose union is the search, each in order."""
        start = self.build.binds.at
        found: list[Select[Any]] = []
        for driven in self._drives(shape):
            self.build.binds.at = start
            row, met = driven(shape)
            found += [self._part(row, shape, condition) for condition in self._cut(shape, row, met)]
        return found

    def _drives(self, shape: SearchShape) -> list[Callable[[SearchShape], Driven]]:
        if shape.drive is None:
            return [self._undriven]
        return [self._by_column] if shape.drive.single else [self._by_column, self._by_value_rows]

    def _cut(self, shape: SearchShape, row: Row, met: Condition) -> list[Condition]:
        if shape.missing is None:
            return [met]
        return [
            and_(met, region)
            for region in regions(row, shape.order, shape.missing, self.build.binds)
        ]

    def _part(self, row: Row, shape: SearchShape, met: Condition) -> Select[Any]:
        sorts = [expression(row, key) for key in shape.order]
        labelled = [sort.label(f"s{n}") for n, sort in enumerate(sorts)]
        own = [first_key(row).label("own")] if shape.derived else []
        order = [ordered(key, sort) for key, sort in zip(shape.order, sorts, strict=True)]
        columns = [row.c[name] for name in _COLUMNS]
        kept = [
            row.c[column_name(code)].label(carried(code))
            for code in dict.fromkeys(one.code for one in shape.referring if one.forward)
        ]
        return select(*columns, *labelled, *own, *kept).where(met).order_by(*order)

    def _undriven(self, shape: SearchShape) -> Driven:
        row = self.build.row(shape.type)
        return row, self.build.where(shape.where, row)

    def _by_column(self, shape: SearchShape) -> Driven:
        """The resources whose first reference it is."""
        row, drive = self.build.row(shape.type), _drive(shape)
        met = _is(drive, row.c[column_name(drive.code)], self._wanted(drive))
        return row, and_(met, self.build.where(shape.where, row))

    def _by_value_rows(self, shape: SearchShape) -> Driven:
        """The resources of which it is a further reference only."""
        row, drive = self.build.row(shape.type), _drive(shape)
        wanted = self._wanted(drive)
        values = self.build.value_rows(shape.type)
        ids = select(values.c.id).where(
            values.c.param == name_of(drive.code), _is(drive, values.c.norm, wanted)
        )
        met = row.c.id == any_(array_of(ids))
        first = ~_is(drive, row.c[column_name(drive.code)], wanted)
        return row, and_(met, first, self.build.where(shape.where, row))

    def _wanted(self, drive: Drive) -> ColumnElement[Any]:
        if drive.this:
            return alone(name_of(drive.this + "/").op("||")(literal_column("page.id", Text)))
        return self.build.binds.take(ARRAY(Text) if drive.many else Text())

    def count(self, shape: SearchShape) -> ColumnElement[int]:
        """How many there are, whatever the page."""
        start = self.build.binds.at
        counts = []
        for driven in self._drives(shape):
            self.build.binds.at = start
            row, met = driven(shape)
            counted = select(func.count()).select_from(row.source).where(met)
            counts.append(counted.scalar_subquery())
        return _sum(counts)

    def _derived(self, shape: DerivedShape) -> ColumnElement[Any]:
        search = shape.search
        if shape.kind == "count":
            return self.count(search)
        one: ColumnElement[int] = literal_column("1")
        parts = [part.limit(one) for part in self._parts(search)]
        found = _together(parts, None)
        if shape.kind == "exists":
            return select(func.count() > literal_column("0")).select_from(found).scalar_subquery()
        order = [ordered(key, found.c[f"s{n}"]) for n, key in enumerate(search.order)]
        return select(found.c.body).order_by(*order).limit(one).scalar_subquery()


def _sum(counts: Sequence[ColumnElement[int]]) -> ColumnElement[int]:
    first, *others = counts
    for count in others:
        first = first + count
    return first


def _drive(shape: SearchShape) -> Drive:
    if shape.drive is None:
        raise TypeError("a search without a hot reference")
    return shape.drive


def _is(drive: Drive, column: ColumnElement[Any], wanted: ColumnElement[Any]) -> Condition:
    return column == any_(wanted) if drive.many else column == wanted


def _together(parts: list[Select[Any]], name: str | None) -> Subquery:
    if len(parts) == 1:
        return parts[0].subquery(name)
    return union_all(*(part.subquery().select() for part in parts)).subquery(name)
