"""Search the slow way: every resource, every value, by the words of the specification.

It shares no code with the store: values come from fhirpathpy, dates from `calendar`.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import fhirpathpy

from fhir_server.definitions.model import Component, SearchParameter, ServedType
from tests.search.naive_values import (
    codes_meant,
    fold,
    reading,
    says,
    uri_is,
    version_is,
    words_beside,
)

Resource = Mapping[str, Any]
PAST = datetime(1, 1, 3, tzinfo=UTC)
FUTURE = datetime(9999, 12, 29, tzinfo=UTC)


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
            return _own(resource, code, modifier, alternatives)
        if code in {"_text", "_content"}:
            return any(says(reading(resource, code), plain(a)) for a in alternatives)
        parameter = self.parameter(resource, code)
        if parameter.alias_of and modifier in {"text", "identifier"}:
            return self._said_to_be(resource, parameter, modifier, text)
        return self._valued(parameter, modifier, self.values(resource, code), alternatives)

    def _valued(
        self, parameter: SearchParameter, modifier: str, values: list[Any], alternatives: list[str]
    ) -> bool:
        if modifier == "missing":
            return (alternatives == ["true"]) is (not _present(parameter, values))
        if modifier in {"identifier", "text"}:
            return any(_beside(modifier, v, a) for v in values for a in alternatives)
        if parameter.type == "composite":
            return any(_together(parameter, v, a) for v in values for a in alternatives)
        if parameter.type == "token":
            return _coded(parameter, modifier, values, alternatives)
        if parameter.type == "reference":
            return self._refers(parameter, modifier, values, alternatives)
        return any(_meets(parameter.type, modifier, v, a) for v in values for a in alternatives)

    def _said_to_be(
        self, resource: Resource, parameter: SearchParameter, modifier: str, text: str
    ) -> bool:
        """A narrowed reference has words and identifiers of its type, or of no type told."""
        element = resource.get(parameter.alias_of or "", {})
        told = element.get("reference", element.get("type", "")).partition("/")[0]
        if told not in {"", parameter.alias_type}:
            return False
        return self._plain(resource, parameter.alias_of or "", modifier, text)

    def _refers(
        self, parameter: SearchParameter, modifier: str, values: list[Any], alternatives: list[str]
    ) -> bool:
        if modifier in {"above", "below"}:
            held = [v for v in values if isinstance(v, str)]
            return any(version_is(v, modifier, a) for v in held for a in alternatives)
        targets = [parameter.alias_type] if parameter.alias_type else list(parameter.targets)
        wanted = {
            w for a in alternatives for w in pointed_at(a, [modifier] if modifier else targets)
        }
        if modifier:
            wanted = {w for w in wanted if w.startswith(f"{modifier}/")}
        return any(reference_text(v) in wanted for v in values)


def _own(resource: Resource, code: str, modifier: str, alternatives: list[str]) -> bool:
    if code == "_id":
        return (resource["id"] in alternatives) is (modifier != "not")
    return any(date_meets(resource["meta"]["lastUpdated"], a) for a in alternatives)


def _present(parameter: SearchParameter, values: list[Any]) -> bool:
    """A composite is there where an element has all its parts."""
    if parameter.type != "composite":
        return bool(values)
    return any(all(_of_part(v, part) for part in parameter.components) for v in values)


def _beside(modifier: str, value: Any, text: str) -> bool:
    if modifier == "text":
        return any(fold(words).startswith(fold(plain(text))) for words in words_beside(value))
    return isinstance(value, dict) and _token(value.get("identifier", {}), text)


def _together(parameter: SearchParameter, element: Any, text: str) -> bool:
    """Each part holds of the same element."""
    asked = re.split(r"(?<!\\)\$", text)
    return all(
        any(
            reference_text(v) in pointed_at(one, part.targets)
            if part.type == "reference"
            else _meets(part.type, "", v, one)
            for v in _of_part(element, part)
        )
        for part, one in zip(parameter.components, asked, strict=True)
    )


def _coded(
    parameter: SearchParameter, modifier: str, values: list[Any], alternatives: list[str]
) -> bool:
    if modifier == "of-type":
        return any(_typed(v, a) for v in values for a in alternatives)
    if modifier in {"", "not"}:
        met = any(_token(v, a) for v in values for a in alternatives)
        return met is not bool(modifier)
    meant = {pair for a in alternatives for pair in codes_meant(modifier, a)}
    held = {(system or "", code) for v in values for system, code in codings_of(v)}
    if parameter.code in {"status", "priority"}:
        met = bool({code for _, code in meant} & {code for _, code in held})
    else:
        met = bool(meant & held)
    return met is not (modifier == "not-in")


def _typed(value: Any, text: str) -> bool:
    asked = tuple(plain(part) for part in re.split(r"(?<!\\)\|", text))
    kinds = value.get("type", {}).get("coding", ())
    return any((k.get("system", ""), k["code"], value.get("value")) == asked for k in kinds)


def _of_part(element: Any, part: Component) -> list[Any]:
    """The values of a path, or of one choice of it."""
    chosen = re.fullmatch(r"(\w+)\.as\((\w+)\)", part.expression)
    steps = ["".join(chosen.groups())] if chosen else part.expression.split(".")
    found = _walk(element, steps)
    if part.expression == "value":
        found = [v for key, v in element.items() if key.startswith("value")]
    return [v for v in found if part.type != "reference" or reference_text(v)]


def _meets(kind: str, modifier: str, value: Any, text: str) -> bool:
    if kind == "string":
        return _string(value, modifier, text)
    if kind == "uri":
        return uri_is(value, modifier, plain(text))
    return {"token": _token, "date": date_meets, "number": number_meets, "quantity": number_meets}[
        kind
    ](value, text)


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


def pointed_at(text: str, targets: Sequence[str]) -> list[str]:
    return [text] if "/" in text else [f"{target}/{text}" for target in targets]


def _token(value: Any, text: str) -> bool:
    parts = [plain(p) for p in re.split(r"(?<!\\)\|", text, maxsplit=1)]
    for system, code in codings_of(value):
        if len(parts) == 1 and code == parts[0]:
            return True
        if len(parts) == 2 and parts[1] == "" and parts[0] and system == parts[0]:
            return True
        if len(parts) == 2 and parts[1] and (system or "") == parts[0] and code == parts[1]:
            return True
    return False


def codings_of(value: Any) -> Iterator[tuple[str | None, str | None]]:
    if isinstance(value, bool):
        yield None, str(value).lower()
    elif isinstance(value, str):
        yield None, value
    elif "coding" in value:
        for coding in value["coding"]:
            yield from codings_of(coding)
    else:
        yield value.get("system"), value.get("code", value.get("value"))


def _string(value: Any, modifier: str, text: str) -> bool:
    for held in texts_of(value):
        if modifier == "exact" and held == plain(text):
            return True
        if modifier == "contains" and fold(plain(text)) in fold(held):
            return True
        if not modifier and fold(held).startswith(fold(plain(text))):
            return True
    return False


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        return
    for part in ("text", "family", "city", "country", "state", "postalCode", "district"):
        if part in value:
            yield value[part]
    for part in ("given", "prefix", "suffix", "line"):
        yield from value.get(part, ())


def number_meets(value: Any, text: str) -> bool:
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


def date_meets(value: Any, text: str) -> bool:
    prefix, rest = _prefix(text)
    low, high = span(rest)
    if isinstance(value, str):
        since, until = span(value)
    else:
        since = span(value["start"])[0] if "start" in value else PAST
        until = span(value["end"])[1] if "end" in value else FUTURE
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


def span(text: str) -> tuple[datetime, datetime]:
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
