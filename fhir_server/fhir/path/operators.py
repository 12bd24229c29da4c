"""FHIRPath's operators on single JSON values, where text may be a point in time.

None is FHIRPath's empty: the answer is not known.
https://hl7.org/fhirpath/N1/#operations
"""

from __future__ import annotations

from typing import Any

from fhir_server.fhir import instant
from fhir_server.fhir.path.parser import PathError

# Up to here, comparing each with each is fastest.
_FEW = 8


class Valueless(dict[str, Any]):
    """A primitive element that has only an id or extensions (`_birthDate` without `birthDate`)."""


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left == right or _same_moment(left, right)
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def equal_all(left: list[Any], right: list[Any]) -> bool | None:
    if not left or not right:
        return None
    return len(left) == len(right) and all(map(equal, left, right))


def contains(items: list[Any], item: Any) -> bool:
    return any(equal(item, other) for other in items)


def excluded(items: list[Any], others: list[Any]) -> list[Any]:
    """Those of `items` that equal none of `others`."""
    if len(others) <= _FEW:
        return [item for item in items if not contains(others, item)]
    known = set(map(_token, others))
    return [item for item in items if _token(item) not in known]


def distinct(items: list[Any]) -> list[Any]:
    if len(items) > _FEW:
        first: dict[object, Any] = {}
        for item in items:
            first.setdefault(_token(item), item)
        return list(first.values())
    found: list[Any] = []
    for item in items:
        present = item in found if isinstance(item, dict) else contains(found, item)
        if not present:
            found.append(item)
    return found


def _token(item: Any) -> object:
    """The same for items that are equal: comparing each with each takes too long for many."""
    if isinstance(item, str):
        return _moment(item) or item
    if isinstance(item, dict):
        return _frozen(item)
    return isinstance(item, bool), item


def _frozen(node: Any) -> Any:
    if isinstance(node, dict):
        return frozenset((key, _frozen(value)) for key, value in node.items())
    return tuple(map(_frozen, node)) if isinstance(node, list) else node


def _moment(text: str) -> object:
    try:
        return instant.interval(text) if text[10:11] == "T" else None
    except ValueError:
        return None


def compare(operator: str, left: Any, right: Any) -> bool | None:
    """`left operator right` for <, <=, > and >=; PathError for values without an order."""
    if operator in (">", ">="):
        return compare("<" if operator == ">" else "<=", right, left)
    if isinstance(left, dict) and isinstance(right, dict):
        return _compare_quantities(operator, left, right)
    if isinstance(left, str) and isinstance(right, str):
        return _compare_texts(operator, left, right)
    if _is_number(left) and _is_number(right):
        return bool(left < right if operator == "<" else left <= right)
    raise PathError("values that cannot be ordered")


def truth(items: list[Any]) -> bool | None:
    """Singleton evaluation: a single value that is not a boolean counts as true."""
    if not items:
        return None
    item = single(items)
    return item if isinstance(item, bool) else True


def single(items: list[Any]) -> Any:
    if len(items) != 1:
        raise PathError("more than one item where one is expected")
    return items[0]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _compare_quantities(operator: str, left: dict[str, Any], right: dict[str, Any]) -> bool | None:
    unit = [(q.get("system"), q.get("code") or q.get("unit")) for q in (left, right)]
    if "value" not in left or "value" not in right or unit[0] != unit[1]:
        return None
    return compare(operator, left["value"], right["value"])


def _compare_texts(operator: str, left: str, right: str) -> bool | None:
    if _same_form(left, right):
        return left < right if operator == "<" else left <= right
    try:
        a, b = instant.interval(left), instant.interval(right)
    except ValueError:
        return left < right if operator == "<" else left <= right
    if a[1] <= b[0]:
        return True
    if b[1] <= a[0]:
        return a == b and operator == "<="
    if a == b or (_is_exact(left) and _is_exact(right)):
        return a[0] < b[0] if operator == "<" else a[0] <= b[0]
    return None


def _same_form(left: str, right: str) -> bool:
    """Of one precision and zone, so that the order of the texts is the order in time."""
    if len(left) != len(right):
        return False
    return len(left) <= 10 or left[-6:] == right[-6:] or left[-1] == right[-1] == "Z"


def _is_exact(text: str) -> bool:
    """To the second or better: FHIRPath compares seconds and milliseconds as one precision."""
    return len(text) >= 19


def _same_moment(left: str, right: str) -> bool:
    if left[10:11] != "T" or right[10:11] != "T":
        return False
    try:
        return instant.interval(left) == instant.interval(right)
    except ValueError:
        return False
