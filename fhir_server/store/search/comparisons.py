"""Comparisons of strings, dates, numbers and quantities with what was asked, as SQL.

Where an OR list has several values for one comparison they are bound as arrays and unnested.
https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    FromClause,
    Numeric,
    Text,
    and_,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY
from sqlalchemy.types import TypeEngine

from fhir_server.store.keys import name_part
from fhir_server.store.search.building import Building, Condition, Row, condition, name_of
from fhir_server.store.search.node import Shape
from fhir_server.store.tables import WORDS, Instant, column_name


def updated(build: Building, shape: Shape, row: Row) -> Condition:
    after = row.c.updated + text("interval '1 millisecond'")
    return _compared(build, shape, (row.c.updated, after), None)


def hot_date(build: Building, shape: Shape, row: Row) -> Condition:
    name = column_name(shape[1])
    return _compared(build, shape, (row.c[name], row.c[name + "_high"]), None)


def value(build: Building, shape: Shape, row: Row) -> Condition:
    values = build.value_rows(row.type)
    columns = columns_of(values, shape[2])
    met = _compared(build, shape, columns, values.c.unit)
    return exists().where(values.c.id == row.c.id, values.c.param == name_of(shape[1]), met)


def composite(build: Building, shape: Shape, row: Row) -> Condition:
    """A row for each part of one element, each of which meets what is asked of it."""
    _, code, comparisons, many = shape
    parts = [build.value_rows(row.type) for _ in comparisons]
    types = [of for comparison in comparisons for of in _TYPES[_kind(comparison)]]
    bound, wanted = _bound(build, types, many=many)
    met, at = [], 0
    for n, (part, comparison) in enumerate(zip(parts, comparisons, strict=True)):
        end = at + len(_TYPES[_kind(comparison)])
        met += [part.c.id == row.c.id, part.c.param == name_of(name_part(code, n))]
        met += [part.c.part == parts[0].c.part] if n else []
        met.append(_compare(comparison, columns_of(part, comparison), bound[at:end], part.c.unit))
        at = end
    return exists(select(true()).select_from(*parts, *wanted).where(*met))


def columns_of(values: FromClause, comparison: str) -> tuple[Any, ...]:
    """What of a value row is compared."""
    return tuple(values.c[name] for name in _COLUMNS[_kind(comparison)])


def words(build: Building, shape: Shape, row: Row) -> Condition:
    wanted = cast(build.binds.take(Text()), TSQUERY)
    return condition(row.c[WORDS[shape[1]]].op("@@")(wanted))


def _kind(comparison: str) -> str:
    return comparison.partition("-")[0]


def _compared(build: Building, shape: Shape, columns: tuple[Any, ...], unit: Any) -> Condition:
    _, _, comparison, many = shape
    bound, wanted = _bound(build, _TYPES[_kind(comparison)], many=many)
    met = _compare(comparison, columns, bound, unit)
    return exists(select(true()).select_from(*wanted).where(met)) if wanted else met


def _bound(
    build: Building, types: Sequence[TypeEngine[Any]], *, many: bool
) -> tuple[list[Any], list[FromClause]]:
    """One value each, or columns of arrays that are unnested together."""
    if not many:
        return [build.binds.take(of) for of in types], []
    arrays = [build.binds.take(ARRAY(of)) for of in types]
    names = [f"b{n}" for n in range(len(types))]
    wanted = func.unnest(*arrays).table_valued(*names).render_derived()
    return [wanted.c[name] for name in names], [wanted]


def _compare(
    comparison: str, columns: tuple[Any, ...], bound: Sequence[Any], unit: Any
) -> Condition:
    kind, _, prefix = comparison.partition("-")
    if kind == "date":
        return _DATES[prefix](*columns, *bound)
    if kind in {"number", "unit"}:
        met = _NUMBERS[prefix](*columns, *bound[:2])
        return and_(met, unit == bound[2] if kind == "unit" else unit.is_(None))
    if kind == "typed":
        said = or_(unit == bound[2], unit.is_(None))
        return and_(_STRINGS["starts"](*columns, *bound[:2]), said)
    return _STRINGS[kind](*columns, *bound)


_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "key": ("norm",),
    "starts": ("norm", "norm"),
    "typed": ("norm", "norm"),
    "contains": ("norm", "norm"),
    "ends": ("norm", "norm"),
    "equals": ("norm", "norm"),
    "exact": ("norm", "exact"),
    "date": ("since", "until"),
    "number": ("low", "high"),
    "unit": ("low", "high"),
}
_TYPES: Final[Mapping[str, tuple[TypeEngine[Any], ...]]] = {
    "key": (Text(),),
    "starts": (Text(), Text()),
    "typed": (Text(), Text(), Text()),
    "contains": (Text(), Text()),
    "ends": (Text(), Text()),
    "equals": (Text(), Text()),
    "exact": (Text(), Text()),
    "date": (Instant, Instant),
    "number": (Numeric(), Numeric()),
    "unit": (Numeric(), Numeric(), Text()),
}
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
    "key": lambda norm, key: norm == key,
    "starts": lambda norm, _, low, high: and_(norm >= low, norm < high),
    "contains": lambda norm, _, part, __: func.strpos(norm, part) > literal_column("0"),
    "ends": lambda norm, _, part, __: func.right(norm, func.length(part)) == part,
    "equals": lambda norm, _, folded, __: norm == folded,
    "exact": lambda norm, exact, folded, whole: and_(norm == folded, exact == whole),
}
