"""Search the slow way: every resource, every value, by the words of the specification.

It shares no code with the store: values come from fhirpathpy, dates from `calendar`.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import fhirpathpy

from fhir_server.definitions.model import SearchParameter, ServedType

Resource = Mapping[str, Any]
_PAST = datetime(1, 1, 3, tzinfo=UTC)
_FUTURE = datetime(9999, 12, 29, tzinfo=UTC)


class Naive:
    """All resources of a tenant."""

    def __init__(self, types: Mapping[str, ServedType], resources: Iterable[Resource]) -> None:
        self.types = types
        self.resources = {f"{r['resourceType']}/{r['id']}": r for r in resources}

    def search(self, kind: str, params: Sequence[tuple[str, str]]) -> set[str]:
        """Ids of what meets every parameter."""
        return {
            r["id"]
            for r in self.resources.values()
            if r["resourceType"] == kind and all(self.meets(r, *pair) for pair in params)
        }

    def meets(self, resource: Resource, name: str, value: str) -> bool:
        if name.startswith("_has:"):
            return self._has(resource, name, value)
        head, dot, rest = name.partition(".")
        code, _, modifier = head.partition(":")
        if dot:
            targets = self.referred(resource, code)
            return any(
                self.meets(target, rest, value)
                for target in targets
                if not modifier or target["resourceType"] == modifier
            )
        return self._plain(resource, code, modifier, value)

    def _has(self, resource: Resource, name: str, value: str) -> bool:
        _, kind, code, rest = name.split(":", 3)
        return any(
            self.meets(other, rest, value)
            for other in self.resources.values()
            if other["resourceType"] == kind and resource in self.referred(other, code)
        )

    def referred(self, resource: Resource, code: str) -> list[Resource]:
        texts = (reference_text(v) for v in self.values(resource, code))
        return [self.resources[t] for t in texts if t in self.resources]

    def parameter(self, resource: Resource, code: str) -> SearchParameter:
        return self.types[resource["resourceType"]].search[code]

    def values(self, resource: Resource, code: str) -> list[Any]:
        parameter = self.parameter(resource, code)
        if parameter.alias_of:
            found = self.values(resource, parameter.alias_of)
            prefix = f"{parameter.alias_type}/"
            return [v for v in found if (reference_text(v) or "").startswith(prefix)]
        if re.fullmatch(r"[\w.]+", parameter.expression):
            return _walk(resource, parameter.expression.split(".")[1:])
        return list(_compiled(parameter.expression)(resource))

    def _plain(self, resource: Resource, code: str, modifier: str, text: str) -> bool:
        alternatives = [a for a in re.split(r"(?<!\\),", text) if a]
        if code in {"_id", "_lastUpdated"}:
            updated = resource["meta"]["lastUpdated"] if code == "_lastUpdated" else ""
            return any(_date(updated, a) if updated else resource["id"] == a for a in alternatives)
        parameter = self.parameter(resource, code)
        values = self.values(resource, code)
        if modifier == "missing":
            return (text == "true") is (not values)
        if modifier == "not":
            return not any(_token(v, a) for v in values for a in alternatives)
        if modifier == "identifier":
            held = [v["identifier"] for v in values if isinstance(v, dict) and "identifier" in v]
            return any(_token(v, a) for v in held for a in alternatives)
        if parameter.type == "reference":
            return self._refers(parameter, modifier, values, alternatives)
        return any(_meets(parameter.type, modifier, v, a) for v in values for a in alternatives)

    def _refers(
        self, parameter: SearchParameter, modifier: str, values: list[Any], alternatives: list[str]
    ) -> bool:
        targets = [parameter.alias_type] if parameter.alias_type else list(parameter.targets)
        wanted = {w for a in alternatives for w in _wanted(a, [modifier] if modifier else targets)}
        if modifier:
            wanted = {w for w in wanted if w.startswith(f"{modifier}/")}
        return any(reference_text(v) in wanted for v in values)


def _meets(kind: str, modifier: str, value: Any, text: str) -> bool:
    if kind == "string":
        return _string(value, modifier, text)
    if kind == "uri":
        return bool(value == plain(text))
    return {"token": _token, "date": _date, "number": _number, "quantity": _number}[kind](
        value, text
    )


def _walk(node: Any, steps: Sequence[str]) -> list[Any]:
    """fhirpathpy turns quantities into its own objects, so plain paths are walked here."""
    nodes = node if isinstance(node, list) else [node]
    if not steps:
        return nodes
    return [v for n in nodes if steps[0] in n for v in _walk(n[steps[0]], steps[1:])]


def plain(text: str) -> str:
    return re.sub(r"\\([\\,$|])", r"\1", text)


def reference_text(value: Any) -> str | None:
    return value if isinstance(value, str) else value.get("reference")


def _wanted(text: str, targets: Sequence[str]) -> list[str]:
    return [text] if "/" in text else [f"{target}/{text}" for target in targets]


def _token(value: Any, text: str) -> bool:
    parts = [plain(p) for p in re.split(r"(?<!\\)\|", text, maxsplit=1)]
    for system, code in _codings(value):
        if len(parts) == 1 and code == parts[0]:
            return True
        if len(parts) == 2 and parts[1] == "" and parts[0] and system == parts[0]:
            return True
        if len(parts) == 2 and parts[1] and (system or "") == parts[0] and code == parts[1]:
            return True
    return False


def _codings(value: Any) -> Iterator[tuple[str | None, str | None]]:
    if isinstance(value, bool):
        yield None, str(value).lower()
    elif isinstance(value, str):
        yield None, value
    elif "coding" in value:
        for coding in value["coding"]:
            yield from _codings(coding)
    else:
        yield value.get("system"), value.get("code", value.get("value"))


def _string(value: Any, modifier: str, text: str) -> bool:
    for held in _texts(value):
        if modifier == "exact" and held == plain(text):
            return True
        if modifier == "contains" and _fold(plain(text)) in _fold(held):
            return True
        if not modifier and _fold(held).startswith(_fold(plain(text))):
            return True
    return False


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        return
    for part in ("text", "family", "city", "country", "state", "postalCode", "district"):
        if part in value:
            yield value[part]
    for part in ("given", "prefix", "suffix", "line"):
        yield from value.get(part, ())


def _fold(text: str) -> str:
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return " ".join("".join(c for c in letters if not unicodedata.combining(c)).split())


def _number(value: Any, text: str) -> bool:
    prefix, rest = _prefix(text)
    amount, *unit = re.split(r"(?<!\\)\|", rest)
    asked = Decimal(amount)
    if isinstance(value, dict):
        if unit and unit[1] and not _unit(value, plain(unit[0]), plain(unit[1])):
            return False
        value = value.get("value")
    if value is None:
        return False
    held = Decimal(repr(value))
    half = Decimal(10) ** int(asked.as_tuple().exponent) / 2
    tenth = abs(asked) / 10
    inside = asked - half <= held < asked + half
    return {
        "eq": inside, "ne": not inside,
        "gt": held > asked, "sa": held > asked, "lt": held < asked, "eb": held < asked,
        "ge": held >= asked, "le": held <= asked,
        "ap": asked - tenth <= held <= asked + tenth,
    }[prefix]  # fmt: skip


def _unit(quantity: Mapping[str, Any], system: str, unit: str) -> bool:
    if system:
        return quantity.get("system") == system and quantity.get("code") == unit
    return unit in (quantity.get("code"), quantity.get("unit"))


def _date(value: Any, text: str) -> bool:
    prefix, rest = _prefix(text)
    low, high = _span(rest)
    if isinstance(value, str):
        since, until = _span(value)
    else:
        since = _span(value["start"])[0] if "start" in value else _PAST
        until = _span(value["end"])[1] if "end" in value else _FUTURE
    contained = low <= since and until <= high
    return {
        "eq": contained,
        "ne": not contained,
        "gt": until > high,
        "lt": since < low,
        "ge": until > high or contained,
        "le": since < low or contained,
        "sa": since >= high,
        "eb": until <= low,
    }[prefix]


def _prefix(text: str) -> tuple[str, str]:
    return (text[:2], text[2:]) if text[:1].isalpha() else ("eq", text)


def _span(text: str) -> tuple[datetime, datetime]:
    """What a date covers, by its number of characters."""
    if len(text) == 4:
        return datetime(int(text), 1, 1, tzinfo=UTC), datetime(int(text) + 1, 1, 1, tzinfo=UTC)
    if len(text) == 7:
        year, month = int(text[:4]), int(text[5:])
        days = calendar.monthrange(year, month)[1]
        low = datetime(year, month, 1, tzinfo=UTC)
        return low, low + timedelta(days=days)
    if len(text) == 10:
        low = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return low, low + timedelta(days=1)
    low = datetime.fromisoformat(text)
    if "." in text:
        digits = len(re.split(r"[Z+-]", text.split(".")[1])[0])
        return low, low + timedelta(microseconds=10 ** (6 - digits))
    return low, low + (
        timedelta(seconds=1) if text.count(":") > 1 + ("+" in text) else timedelta(minutes=1)
    )


@cache
def _compiled(expression: str) -> Any:
    return fhirpathpy.compile(expression)
