"""The order of a page, and the condition that continues it after a given row.

https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Text,
    and_,
    cast,
    false,
    func,
    literal_column,
    or_,
    tuple_,
)
from sqlalchemy.types import TypeEngine

from fhir_server.definitions.model import ServedType
from fhir_server.problems import Problem
from fhir_server.store.search.asking import NotSupported
from fhir_server.store.search.building import Binds, Condition, Row
from fhir_server.store.sql import constant
from fhir_server.store.tables import Bytewise, Instant, column_name

MOST_KEYS = 5
LONGEST = 500
# What every type can be sorted by, and the column.
_COMMON = {"_id": "id", "_lastUpdated": "updated"}


class Key(NamedTuple):
    """`kind`: `id`, `updated`, `type`, `instant` or `name` (a hot column), `text` or `amount` (a
    sort value). `backward` is set where the order is walked from its end: `descending` is then the
    opposite of what was asked for, and missing values come first."""

    kind: str
    code: str
    descending: bool
    backward: bool = False

    @property
    def nullable(self) -> bool:
        return self.kind not in {"id", "updated", "type"}


def keys_of(served: ServedType, sort: str) -> tuple[Key, ...]:
    """The keys that `_sort` names, `id` last; NotSupported for what cannot be sorted by."""
    return complete(tuple(dict.fromkeys(_key(served, word) for word in _words(sort))))


def keys_across(sort: str) -> tuple[Key, ...]:
    """The same for several types, which have `_lastUpdated` and `_id` in common."""
    words = _words(sort)
    for word in words:
        if word.removeprefix("-") not in _COMMON:
            raise NotSupported("several types are sorted by _lastUpdated and _id only")
    found = dict.fromkeys(
        Key(_COMMON[word.removeprefix("-")], word.removeprefix("-"), word.startswith("-"))
        for word in words
    )
    keys = complete(tuple(found))
    return (*keys, Key("type", "_type", keys[-1].descending))


def _words(sort: str) -> list[str]:
    if len(sort) > LONGEST:
        raise Problem(400, "too-costly", f"_sort is longer than {LONGEST} characters")
    words = [word.strip() for word in sort.split(",") if word.strip()]
    if len(words) > MOST_KEYS:
        raise Problem(400, "too-costly", f"more than {MOST_KEYS} sort keys")
    return words


def complete(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """`keys` up to `id`, which is added in the direction of the last: no two rows are equal."""
    for at, key in enumerate(keys):
        if key.kind == "id":
            return keys[: at + 1]
    return (*keys, Key("id", "_id", keys[-1].descending if keys else False))


def backward(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """The same order from its end."""
    return tuple(key._replace(descending=not key.descending, backward=True) for key in keys)


def _key(served: ServedType, word: str) -> Key:
    code, descending = word.removeprefix("-"), word.startswith("-")
    if code in _COMMON:
        return Key(_COMMON[code], code, descending)
    parameter = served.search.get(code)
    if parameter is None or not parameter.expression:
        raise NotSupported(f"{served.name} cannot be sorted by {code[:64]}")
    parameter = served.search[parameter.alias_of or code]
    if any(hot.code == parameter.code for hot in served.hot):
        return Key("instant" if parameter.type == "date" else "name", parameter.code, descending)
    if parameter.type in {"composite", "special"}:
        raise NotSupported(f"{served.name} cannot be sorted by {code[:64]}")
    amount = parameter.type in {"number", "quantity"}
    return Key("amount" if amount else "text", parameter.code, descending)


def expression(row: Row, key: Key) -> ColumnElement[Any]:
    """What the key sorts by, on `row`."""
    if key.kind == "type":
        return constant(row.type).collate("C")
    if key.kind not in {"text", "amount"}:
        return _column(row, key)
    value = row.c.sorts.op("->>", return_type=Text())(literal_column(f"'{key.code}'"))
    if key.descending != key.backward:
        greatest = row.c.sorts.op("->>", return_type=Text())(literal_column(f"'-{key.code}'"))
        value = func.coalesce(greatest, value)
    return cast(value, Numeric) if key.kind == "amount" else value.collate("C")


def _column(row: Row, key: Key) -> ColumnElement[Any]:
    name = key.kind if key.kind in {"id", "updated"} else column_name(key.code)
    column: ColumnElement[Any] = row.c[name]
    return column


def ordered(key: Key, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """As an ORDER BY: missing values last whatever the direction, first walking backward."""
    way = value.desc() if key.descending else value.asc()
    if not key.nullable or key.descending == key.backward:
        return way
    return way.nulls_first() if key.backward else way.nulls_last()


_TYPES: dict[str, TypeEngine[Any]] = {
    "id": Bytewise,
    "updated": Instant,
    "type": Bytewise,
    "instant": Instant,
    "name": Bytewise,
    "text": Bytewise,
    "amount": Numeric(),
}


def bind(binds: Binds, key: Key) -> ColumnElement[Any]:
    """The parameter for the key's value in a cursor."""
    return binds.take(Text() if _TYPES[key.kind] is Bytewise else _TYPES[key.kind])


def regions(
    row: Row, keys: tuple[Key, ...], missing: tuple[bool, ...], binds: Binds
) -> list[Condition]:
    """The rows after the cursor's, as parts that follow one another.

    One nullable column and `id` in the same direction is what a hot B-tree is ordered by: there
    the values and the missing ones are two parts, each a range of the index. `missing` tells
    which of the cursor's values are. Walking backward, the missing ones are the first part.
    """
    values = [bind(binds, key) for key, gone in zip(keys, missing, strict=True) if not gone]
    columns = [expression(row, key) for key in keys]
    one_way = len({key.descending for key in keys}) == 1
    if one_way and not any(missing) and not any(key.nullable for key in keys):
        return [_beyond(keys[0], columns, values)]
    if one_way and len(keys) == 2 and keys[0].kind in {"instant", "name"}:
        return _two_parts(keys, columns, values, missing=missing[0])
    return [_lexicographic(keys, columns, missing, values)]


def _two_parts(
    keys: tuple[Key, ...],
    columns: list[ColumnElement[Any]],
    values: list[ColumnElement[Any]],
    *,
    missing: bool,
) -> list[Condition]:
    backward = keys[0].backward
    if missing:
        same = and_(columns[0].is_(None), _beyond(keys[1], columns[1:], values))
        return [same, columns[0].is_not(None)] if backward else [same]
    further = _beyond(keys[0], columns, values)
    return [further] if backward else [further, columns[0].is_(None)]


def _beyond(
    key: Key, columns: list[ColumnElement[Any]], values: list[ColumnElement[Any]]
) -> Condition:
    if len(columns) == 1:
        return columns[0] < values[0] if key.descending else columns[0] > values[0]
    left, right = tuple_(*columns), tuple_(*values)
    return left < right if key.descending else left > right


def _lexicographic(
    keys: tuple[Key, ...],
    columns: list[ColumnElement[Any]],
    missing: tuple[bool, ...],
    values: list[ColumnElement[Any]],
) -> Condition:
    """Equal in the first n keys and beyond in the next, for each n."""
    found: list[Condition] = []
    equal: list[Condition] = []
    remaining = iter(values)
    for key, column, gone in zip(keys, columns, missing, strict=True):
        if gone:
            if key.backward:
                found.append(and_(*equal, column.is_not(None)))
            equal.append(column.is_(None))
            continue
        value = next(remaining)
        beyond = _beyond(key, [column], [value])
        if key.nullable and not key.backward:
            beyond = or_(beyond, column.is_(None))
        found.append(and_(*equal, beyond))
        equal.append(column == value)
    return or_(*found) if found else false()
