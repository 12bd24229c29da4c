"""FHIRPath's logic and comparisons as closures; empty is neither true nor false.

https://hl7.org/fhirpath/N1/#boolean-logic
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.fhir.path.members import Values
from fhir_server.fhir.path.operators import compare, contains, equal, equal_all, single

Condition = Callable[[Any, Any, Any], bool | None]


def _and(left: Condition, right: Condition) -> Condition:
    def run(this: Any, resource: Any, root: Any) -> bool | None:
        a = left(this, resource, root)
        if a is False:
            return False
        b = right(this, resource, root)
        return False if b is False else (True if a and b else None)

    return run


def _or(left: Condition, right: Condition) -> Condition:
    def run(this: Any, resource: Any, root: Any) -> bool | None:
        a = left(this, resource, root)
        if a:
            return True
        b = right(this, resource, root)
        return True if b else (None if a is None or b is None else False)

    return run


def _implies(left: Condition, right: Condition) -> Condition:
    def run(this: Any, resource: Any, root: Any) -> bool | None:
        a = left(this, resource, root)
        if a is False:
            return True
        b = right(this, resource, root)
        return True if b else (b if a else None)

    return run


def _xor(left: Condition, right: Condition) -> Condition:
    def run(this: Any, resource: Any, root: Any) -> bool | None:
        a, b = left(this, resource, root), right(this, resource, root)
        return None if a is None or b is None else a is not b

    return run


LOGIC = {"and": _and, "or": _or, "implies": _implies, "xor": _xor}


def equals_literal(items: Values, literal: Any, *, wanted: bool) -> Condition:
    def run(this: Any, resource: Any, root: Any) -> bool | None:
        found = items(this, resource, root)
        if not found:
            return None
        return (len(found) == 1 and equal(found[0], literal)) is wanted

    return run


def comparison(operator: str, left: Values, right: Values) -> Condition:
    def run(this: Any, resource: Any, root: Any) -> bool | None:
        a, b = left(this, resource, root), right(this, resource, root)
        return compare(operator, single(a), single(b)) if a and b else None

    return run


def membership(item: Values, collection: Values) -> Condition:
    def run(this: Any, resource: Any, root: Any) -> bool | None:
        found = item(this, resource, root)
        return contains(collection(this, resource, root), single(found)) if found else None

    return run


def one_of(item: Values, constants: frozenset[str]) -> Condition:
    def run(this: Any, resource: Any, root: Any) -> bool | None:
        found = item(this, resource, root)
        if not found:
            return None
        value = single(found)
        return isinstance(value, str) and value in constants

    return run


def equality(left: Values, right: Values, *, wanted: bool) -> Condition:
    """`left = right`, or `left != right` when not `wanted`."""

    def run(this: Any, resource: Any, root: Any) -> bool | None:
        same = equal_all(left(this, resource, root), right(this, resource, root))
        return None if same is None else same is wanted

    return run


def code_is(name: str, literal: str, general: Condition, *, wanted: bool) -> Condition:
    """`system = 'phone'`, the usual criterion, without a list; `general` for all but plain text."""
    is_moment = literal[10:11] == "T"

    def run(this: Any, resource: Any, root: Any) -> bool | None:
        if isinstance(this, dict):
            value = this.get(name)
            if isinstance(value, str) and not is_moment:
                return (value == literal) is wanted
        return general(this, resource, root)

    return run
