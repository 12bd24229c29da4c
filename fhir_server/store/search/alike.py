"""Access policies that are asked once for all rows that are alike to them.

Such a policy looks at a row's columns, to follow a reference, and at its keys. Rows with the same
columns, and the same answers to what is asked of their keys, are shown or hidden together: a
look-up in another table is then made once for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, and_, or_

from fhir_server.store.search.building import Building, Condition, Row
from fhir_server.store.search.node import FILTER, KEYS, Shape
from fhir_server.store.tables import column_name

_COLUMN = frozenset({"chain-row-column", "chain-set-column"})


def groups(policy: Shape) -> bool:
    """Whether rows can be told alike under the policy by a few columns."""
    if policy[0] in {"and", "or"}:
        return all(map(groups, policy[1]))
    return policy[0] in _COLUMN or _keyed(policy)


def _keyed(shape: Shape) -> bool:
    """Whether a row's keys alone decide."""
    if shape[0] in {"and", "or"}:
        return all(map(_keyed, shape[1]))
    if shape[0] == "not":
        return _keyed(shape[1])
    return shape in {KEYS, FILTER, ("true",), ("false",)}


def told(build: Building, policy: Shape, row: Row) -> list[ColumnElement[Any]]:
    """The columns of `row` that decide: those of references, and an answer for each condition on
    keys."""
    found: dict[str, ColumnElement[Any]] = {}
    for name, leaf in _leaves(policy, count()):
        met = build.where(leaf, row)
        found[name] = (met if _keyed(leaf) else row.c[name]).label(name)
    return list(found.values())


def policy_of(build: Building, policy: Shape, alike: Row, row: Row) -> Condition:
    """The policy on `alike`, which has the columns that decide on `row`."""
    return _combined(build, policy, alike, row, count())


def _leaves(policy: Shape, numbers: Iterator[int]) -> Iterator[tuple[str, Shape]]:
    if _keyed(policy):
        yield f"k{next(numbers)}", policy
    elif policy[0] in {"and", "or"}:
        for part in policy[1]:
            yield from _leaves(part, numbers)
    else:
        yield column_name(policy[1]), policy


def _combined(
    build: Building, policy: Shape, alike: Row, row: Row, numbers: Iterator[int]
) -> Condition:
    if _keyed(policy):
        build.where(policy, row)  # its values have been bound in `told`
        answer: Condition = alike.c[f"k{next(numbers)}"]
        return answer
    if policy[0] in {"and", "or"}:
        parts = [_combined(build, part, alike, row, numbers) for part in policy[1]]
        return and_(*parts) if policy[0] == "and" else or_(*parts)
    return build.where(policy, alike)
