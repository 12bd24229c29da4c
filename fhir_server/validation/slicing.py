"""Which slice does a value belong to?

https://hl7.org/fhir/R4/profiling.html#slicing
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fhir_server.validation import values
from fhir_server.validation.bindings import codings, pair_in
from fhir_server.validation.differential import EXTENSIONS, Element
from fhir_server.validation.run import Run
from fhir_server.validation.values import Value

if TYPE_CHECKING:
    from fhir_server.validation.profiles import Profiles

_STEP = re.compile(r"extension\('([^']*)'\)|ofType\((\w+)\)|[^.()]+(?:\(\))?")


def check(element: Element, found: Sequence[Value], run: Run, profiles: Profiles) -> list[Value]:
    """Checks the slices of `element`; returns the values that belong to none."""
    left = list(found)
    for name, part in element.slices.items():
        mine = [v for v in left if belongs(v, part, element.discriminators, run, profiles)]
        left = [v for v in left if v not in mine]
        profiles.check_count(part, mine, f"{element.name}:{name}", run)
        for value in mine:
            profiles.check_value(part, value, run)
    return left


def belongs(
    value: Value,
    part: Element,
    discriminators: Sequence[tuple[str, str]],
    run: Run,
    profiles: Profiles,
) -> bool:
    """Do all discriminators say that `value` is in the slice? Without any, nothing is."""
    tests = (_discriminate(kind, path, value, part, run, profiles) for kind, path in discriminators)
    return bool(discriminators) and all(tests)


def _discriminate(
    kind: str, path: str, value: Value, part: Element, run: Run, profiles: Profiles
) -> bool:
    if part.name in EXTENSIONS and path == "url":
        return _url(part, profiles) == value.object.get("url")
    declared: Element | None = part
    found = [value]
    for step in [] if path == "$this" else _STEP.finditer(path):
        declared, found = _step(step, declared, found, profiles)
    if kind == "exists":
        absent = declared is not None and declared.max == "0"
        return bool(found) != absent
    if declared is None:
        return True
    if kind == "type":
        return any(_type(v) in {t["code"] for t in declared.types} for v in found)
    if kind == "profile":
        return any(profiles.conforms(declared, v, run) for v in found)
    return any(_same(declared, v, run, profiles) for v in found)


def _step(
    step: re.Match[str], declared: Element | None, found: list[Value], profiles: Profiles
) -> tuple[Element | None, list[Value]]:
    url, of_type = step[1], step[2]
    if url:
        reached = [v for f in found for v in values.below(f, ["extension"])]
        reached = [v for v in reached if v.object.get("url") == url]
        slices = declared.children["extension"].slices if declared and "extension" in declared.children else {}
        named = [s for s in slices.values() if _url(s, profiles) == url]
        return (named[0] if named else None), reached
    if of_type:
        return declared, [v for v in found if _type(v) == of_type]
    if step[0] == "resolve()":
        return None, found
    below = profiles.below(declared, step[0]) if declared else None
    return below, [v for f in found for v in values.below(f, [step[0]])]


def _url(part: Element, profiles: Profiles) -> str | None:
    """The url that an extension slice stands for."""
    fixed = part.at(["url"])
    if fixed and fixed.fixed:
        return str(fixed.fixed[0])
    urls = [url for t in part.types for url in t.get("profile", ())]
    return urls[0].partition("|")[0] if urls else None


def _type(value: Value) -> str | None:
    return value.type or value.object.get("resourceType")


def _same(declared: Element, value: Value, run: Run, profiles: Profiles) -> bool:
    if declared.fixed:
        return bool(declared.fixed[0] == value.value)
    if declared.pattern:
        return values.matches(declared.pattern[0], value.value)
    listed = profiles.terminology.codes(declared.value_set) if declared.value_set else None
    if listed is not None:
        held = value.value
        if isinstance(held, str):
            return any(held == code for _, code in listed)
        kind = "CodeableConcept" if "coding" in value.object else "Coding"
        return any(pair_in(listed, s, c) for s, c in codings(value.object, kind))
    return profiles.conforms(declared, value, run)
