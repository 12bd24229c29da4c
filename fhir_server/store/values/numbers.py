"""Numbers and quantities as closed ranges of decimals.

https://hl7.org/fhir/R4/search.html#number, https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

LOWEST, HIGHEST = Decimal("-Infinity"), Decimal("Infinity")
CURRENCY = "urn:iso:std:iso:4217"


class Amount(NamedTuple):
    """From `low` to `high`, in `unit`: None for the bare number, `system|code`, or `|unit`."""

    low: Decimal
    high: Decimal
    unit: str | None = None


def number(value: object) -> Decimal | None:
    """The decimal of a JSON number, as it was written where that is known."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        exact = Decimal(getattr(value, "text", None) or repr(value))
    except InvalidOperation:
        return None
    return exact if exact.is_finite() and -10_000 < exact.adjusted() < 10_000 else None


def amounts(element: object) -> Iterator[Amount]:
    """The ranges in a number, Quantity, Money, Duration or Range, once per way to name its unit."""
    exact = number(element)
    if exact is not None:
        yield Amount(exact, exact)
    elif isinstance(element, dict):
        yield from _range(element) if "low" in element or "high" in element else _one(element)


def _one(quantity: dict[str, object]) -> Iterator[Amount]:
    value = number(quantity.get("value"))
    if value is None:
        return
    comparator = str(quantity.get("comparator", ""))
    low = LOWEST if comparator.startswith("<") else value
    high = HIGHEST if comparator.startswith(">") else value
    for unit in units(quantity):
        yield Amount(low, high, unit)


def _range(element: dict[str, object]) -> Iterator[Amount]:
    ends = [end for end in (element.get("low"), element.get("high")) if isinstance(end, dict)]
    low, high = element.get("low"), element.get("high")
    least = number(low.get("value")) if isinstance(low, dict) else LOWEST
    most = number(high.get("value")) if isinstance(high, dict) else HIGHEST
    if ends and least is not None and most is not None:
        for unit in units(ends[0]):
            yield Amount(least, most, unit)


def units(quantity: dict[str, object]) -> list[str | None]:
    """The names a query may give to the unit: none, `system|code`, `|code`, `|unit`."""
    code, system = quantity.get("code"), quantity.get("system", "")
    if "currency" in quantity:
        code, system = quantity["currency"], CURRENCY
    named = {f"|{name}": None for name in (code, quantity.get("unit")) if name}
    if code and system:
        named[f"{system}|{code}"] = None
    return [None, *named]
