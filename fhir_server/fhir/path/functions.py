"""FHIRPath functions on whole collections.

https://hl7.org/fhirpath/N1/#functions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from fhir_server.fhir.path.members import Values, children, descendants, resolve
from fhir_server.fhir.path.operators import contains, distinct, excluded, single
from fhir_server.fhir.path.parser import NotNative, PathError
from fhir_server.fhir.path.xhtml import is_narrative

Items = list[Any]


def call(name: str, items: Values, arguments: Sequence[Values]) -> Values:
    """`items.name(arguments)`; NotNative for a name or number of arguments not known here."""
    if name == "resolve" and not arguments:
        return _resolve(items)
    if not arguments and name in _PLAIN:
        plain = _PLAIN[name]
        return lambda this, resource, root: plain(items(this, resource, root))
    if len(arguments) == 1 and name in _WITH_ONE:
        one, argument = _WITH_ONE[name], arguments[0]
        return lambda this, resource, root: one(
            items(this, resource, root), argument(this, resource, root)
        )
    raise NotNative(name)


def arithmetic(operator: str, left: Values, right: Values) -> Values:
    """`&` takes empty as '', `+` and `-` yield empty on empty."""

    def run(this: Any, resource: Any, root: Any) -> Items:
        a, b = left(this, resource, root), right(this, resource, root)
        if operator == "&":
            return [(text(a) if a else "") + (text(b) if b else "")]
        return [_calculate(operator, single(a), single(b))] if a and b else []

    return run


def text(items: Items) -> str:
    item = single(items)
    if not isinstance(item, str):
        raise PathError("not a text")
    return item


def all_different(items: Items) -> bool:
    try:
        return len(set(items)) == len(items)
    except TypeError:
        return len(distinct(items)) == len(items)


def _resolve(items: Values) -> Values:
    return lambda this, resource, root: [
        target for item in items(this, resource, root) for target in resolve(item, resource, root)
    ]


def _calculate(operator: str, left: Any, right: Any) -> Any:
    both = isinstance(left, str) and isinstance(right, str)
    if not (both and operator == "+") and not (_number(left) and _number(right)):
        raise PathError("values that cannot be added")
    return left + right if operator == "+" else left - right


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@lru_cache(maxsize=512)
def _pattern(regex: str) -> re.Pattern[str]:
    try:
        return re.compile(regex, re.DOTALL)
    except re.error as error:
        raise PathError("not a regular expression") from error


def _matches(value: str, regex: str) -> bool:
    return _pattern(regex).search(value) is not None


def _substring(items: Items, start: Items) -> Items:
    if not items or not start:
        return []
    value, at = text(items), single(start)
    return [value[at:]] if 0 <= at < len(value) else []


def _extension(items: Items, url: Items) -> Items:
    return [item for item in items if isinstance(item, dict) and [item.get("url")] == url]


def _to_integer(items: Items) -> Items:
    item = single(items) if items else None
    if isinstance(item, bool | int):
        return [int(item)]
    return [int(item)] if isinstance(item, str) and re.fullmatch(r"[+-]?\d+", item) else []


def _to_string(items: Items) -> Items:
    if not items:
        return []
    item = single(items)
    if isinstance(item, bool):
        return ["true" if item else "false"]
    return [] if isinstance(item, dict) else [str(getattr(item, "text", item))]


TEXT_QUESTIONS: dict[str, Callable[[str, str], bool]] = {
    "matches": _matches,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}
_PLAIN: dict[str, Callable[[Items], Items]] = {
    "first": lambda items: items[:1],
    "last": lambda items: items[-1:],
    "tail": lambda items: items[1:],
    "single": lambda items: [single(items)] if items else [],
    "count": lambda items: [len(items)],
    "distinct": distinct,
    "children": lambda items: [child for item in items for child in children(item)],
    "descendants": lambda items: [child for item in items for child in descendants(item)],
    "length": lambda items: [len(text(items))] if items else [],
    "lower": lambda items: [text(items).lower()] if items else [],
    "upper": lambda items: [text(items).upper()] if items else [],
    "htmlChecks": lambda items: [all(is_narrative(item) for item in items)],
    "toInteger": _to_integer,
    "toString": _to_string,
}
_WITH_ONE: dict[str, Callable[[Items, Items], Items]] = {
    "extension": _extension,
    "exclude": excluded,
    "intersect": lambda items, others: distinct([i for i in items if contains(others, i)]),
    "combine": lambda items, others: items + others,
    "union": lambda items, others: distinct(items + others),
    "skip": lambda items, number: items[max(0, single(number)) :],
    "take": lambda items, number: items[: max(0, single(number))],
    "substring": _substring,
}
