"""Comparisons of strings, dates, numbers and quantities with what was asked, as SQL.

Where an OR list has several values for one comparison they are bound as arrays and unnested.
https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Numeric, Text, and_, exists, func, literal_column, or_, select, text, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from fhir_server.store.search.building import Building, Condition, Row, name_of
from fhir_server.store.search.node import Shape
from fhir_server.store.tables import Instant, column_name


def updated(build: Building, shape: Shape, row: Row) -> Condition:
    after = row.c.updated + text("interval '1 millisecond'")
    return _compared(build, shape, (row.c.updated, after), None)


def hot_date(build: Building, shape: Shape, row: Row) -> Condition:
    name = column_name(shape[1])
    return _compared(build, shape, (row.c[name], row.c[name + "_high"]), None)


def value(build: Building, shape: Shape, row: Row) -> Condition:
    values = build.value_rows(row.type)
    kind = shape[2].partition("-")[0]
    columns = tuple(values.c[name] for name in _COLUMNS[kind])
    met = _compared(build, shape, columns, values.c.unit)
    return exists().where(values.c.id == row.c.id, values.c.param == name_of(shape[1]), met)


def _compared(build: Building, shape: Shape, columns: tuple[Any, ...], unit: Any) -> Condition:
    _, _, comparison, many = shape
    kind, _, prefix = comparison.partition("-")
    types = _TYPES[kind]
    if not many:
        bound: list[Any] = [build.binds.take(of) for of in types]
        return _compare(kind, prefix, columns, bound, unit)
    arrays = [build.binds.take(ARRAY(of)) for of in types]
    names = [f"b{n}" for n in range(len(types))]
    wanted = func.unnest(*arrays).table_valued(*names).render_derived()
    met = _compare(kind, prefix, columns, [wanted.c[name] for name in names], unit)
    return exists(select(true()).select_from(wanted).where(met))


def _compare(
    kind: str, prefix: str, columns: tuple[Any, ...], bound: list[Any], unit: Any
) -> Condition:
    if kind == "date":
        return _DATES[prefix](*columns, *bound)
    if kind in {"number", "unit"}:
        met = _NUMBERS[prefix](*columns, *bound[:2])
        return and_(met, unit == bound[2] if kind == "unit" else unit.is_(None))
    return _STRINGS[kind](*columns, *bound)


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
