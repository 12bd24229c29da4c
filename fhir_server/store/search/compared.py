"""Parameters that compare: string, date, number and quantity.

The values of an OR list that share a prefix are bound as arrays, so that the shape depends on
the prefixes used and not on how many values there are.
https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_server.definitions.model import SearchParameter
from fhir_server.fhir.instant import interval
from fhir_server.store.search.asking import Asking, NotSupported, bad_value
from fhir_server.store.search.literals import prefixed, split, unescaped
from fhir_server.store.search.node import Node, any_of
from fhir_server.store.values.dates import clamped
from fhir_server.store.values.strings import LENGTH, after_prefix, normal

_MOST_DIGITS = 100
_TENTH = Decimal("0.1")


def string(
    _asking: Asking, _type: str, parameter: SearchParameter, modifier: str, values: list[str]
) -> Node:
    """Starts with, folded; `:contains`; `:exact`."""
    if modifier not in {"", "contains", "exact"}:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    return texts(parameter, modifier or "starts", [unescaped(value) for value in values])


def texts(parameter: SearchParameter, comparison: str, values: list[str]) -> Node:
    """`starts`, `contains`, `ends` or `equals`, folded; `exact`."""
    return _values(parameter, string_wanted(parameter, comparison, values))


def string_wanted(
    parameter: SearchParameter, comparison: str, values: list[str]
) -> list[tuple[str, tuple[str, ...]]]:
    """The comparison that each text asks for."""
    norms = [normal(text) for text in values]
    if not all(norms):
        bad_value(parameter.code, "no letters or digits")
    if max(map(len, norms)) > LENGTH:
        bad_value(parameter.code, f"longer than {LENGTH} characters")
    others = _others(parameter.code, comparison, values, norms)
    return [(comparison, pair) for pair in zip(norms, others, strict=True)]


def starting(name: str, parameter: SearchParameter, values: list[str]) -> Node:
    """Texts kept under `name` start so; those of a narrowed parameter belong to its type, or to
    none."""
    wanted = string_wanted(parameter, "starts", [unescaped(value) for value in values])
    kind = parameter.alias_type
    if kind:
        return _grouped("value", name, [("typed", (*pair, kind)) for _, pair in wanted])
    return _grouped("value", name, wanted)


def _others(code: str, comparison: str, values: list[str], norms: list[str]) -> list[str]:
    """What a comparison needs beside the folded text: the text itself, or the end of the range."""
    if comparison == "exact":
        return values
    if comparison == "starts":
        return [after_prefix(norm) or bad_value(code, "no text") for norm in norms]
    return norms


def date(
    asking: Asking, resource_type: str, parameter: SearchParameter, modifier: str, values: list[str]
) -> Node:
    """Intervals, compared as the prefixes say."""
    if modifier:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    wanted = [date_wanted(asking, parameter.code, value) for value in values]
    return _dates(asking, resource_type, parameter, wanted)


def overlapping(
    asking: Asking, resource_type: str, parameter: SearchParameter, low: datetime, high: datetime
) -> Node:
    """A date that has some time in common with [`low`, `high`)."""
    return _dates(asking, resource_type, parameter, [("date-ap", (low, high))])


def _dates(
    asking: Asking,
    resource_type: str,
    parameter: SearchParameter,
    wanted: list[tuple[str, tuple[datetime, datetime]]],
) -> Node:
    if parameter.code == "_lastUpdated":
        return _grouped("updated", parameter.code, wanted)
    return _grouped(_held(asking, resource_type, parameter), parameter.code, wanted)


def _held(asking: Asking, resource_type: str, parameter: SearchParameter) -> str:
    hot = any(found.code == parameter.code for found in asking.types[resource_type].hot)
    return "hot-date" if hot else "value"


def date_wanted(asking: Asking, code: str, text: str) -> tuple[str, tuple[datetime, datetime]]:
    """The comparison that a date asks for."""
    prefix, rest = prefixed(text)
    try:
        low, high = interval(rest.replace(" ", "+"))
    except ValueError:
        bad_value(code, "not a date")
    if prefix == "ap":
        margin = abs(asking.now - low) / 10
        low, high = _moved(low, -margin), _moved(high, margin)
    return "date-" + prefix, (clamped(low), clamped(high))


def _moved(moment: datetime, by: Any) -> datetime:
    try:
        moved: datetime = moment + by
    except OverflowError:
        return moment
    return moved


def number(
    _asking: Asking, _type: str, parameter: SearchParameter, modifier: str, values: list[str]
) -> Node:
    """Numbers, and quantities as `number|system|code` or `number||unit`."""
    if modifier:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    return _values(parameter, [number_wanted(parameter, value) for value in values])


def number_wanted(parameter: SearchParameter, text: str) -> tuple[str, tuple[Any, ...]]:
    """The comparison that a number or a quantity asks for."""
    prefix, rest = prefixed(text)
    amount, *unit = [unescaped(part) for part in split(rest, "|")]
    if unit and (parameter.type == "number" or len(unit) != 2):
        bad_value(parameter.code, "a quantity is number|system|code")
    bounds = _bounds(prefix, _decimal(parameter.code, amount))
    if unit and unit[1]:
        return f"unit-{prefix}", (*bounds, f"{unit[0]}|{unit[1]}")
    return f"number-{prefix}", bounds


def _decimal(code: str, text: str) -> Decimal:
    try:
        value = Decimal(text) if len(text) <= _MOST_DIGITS and text.isascii() else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or abs(value.adjusted()) > _MOST_DIGITS:
        bad_value(code, "not a number")
    return value


def _bounds(prefix: str, value: Decimal) -> tuple[Decimal, Decimal]:
    """The implied precision for eq and ne, a tenth for ap, else the number itself."""
    if prefix in {"eq", "ne"}:
        half = Decimal((0, (5,), int(value.as_tuple().exponent) - 1))
        return value - half, value + half
    if prefix == "ap":
        return value - abs(value) * _TENTH, value + abs(value) * _TENTH
    return value, value


def _values(parameter: SearchParameter, wanted: Iterable[tuple[str, tuple[Any, ...]]]) -> Node:
    return _grouped("value", parameter.code, wanted)


def _grouped(place: str, code: str, wanted: Iterable[tuple[str, tuple[Any, ...]]]) -> Node:
    """One node for each comparison; several values of one comparison as arrays."""
    groups: dict[str, list[tuple[Any, ...]]] = {}
    for comparison, bounds in wanted:
        groups.setdefault(comparison, []).append(bounds)
    return any_of([_group(place, code, *group) for group in sorted(groups.items())])


def _group(place: str, code: str, comparison: str, bounds: list[tuple[Any, ...]]) -> Node:
    if len(bounds) == 1:
        return Node((place, code, comparison, False), bounds[0])
    return Node((place, code, comparison, True), tuple(map(list, zip(*bounds, strict=True))))
