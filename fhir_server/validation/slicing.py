"""Which slice a value belongs to.

https://hl7.org/fhir/R4/profiling.html#slicing
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fhir_server.validation import values
from fhir_server.validation.differential import EXTENSIONS, Element
from fhir_server.validation.place import Place
from fhir_server.validation.references import target_type
from fhir_server.validation.run import Run
from fhir_server.validation.values import Value

if TYPE_CHECKING:
    from fhir_server.validation.profiles import Profiles

_STEP = re.compile(r"extension\('([^']*)'\)|ofType\((\w+)\)|[^.()]+(?:\(\))?")


class Slicer(NamedTuple):
    """Tells slices apart, with the profiles that may be needed for it."""

    profiles: Profiles
    run: Run

    def check(self, element: Element, found: Sequence[Value], at: Place) -> list[Value]:
        """Checks the slices of `element`, whose place is `at`; returns the values in none."""
        left = list(found)
        for name, part in element.slices.items():
            mine = [v for v in left if self.belongs(v, part, element.discriminators)]
            left = [v for v in left if v not in mine]
            check_count(part, mine, f"{element.name}:{name}", at, self.run)
            for value in mine:
                self.profiles.check_value(part, value, self.run)
        return left

    def belongs(
        self, value: Value, part: Element, discriminators: Sequence[tuple[str, str]]
    ) -> bool:
        """Whether all discriminators say that `value` is in the slice. Without any, nothing is."""
        tests = (self._discriminate(kind, path, value, part) for kind, path in discriminators)
        return bool(discriminators) and all(tests)

    def _discriminate(self, kind: str, path: str, value: Value, part: Element) -> bool:
        if part.name in EXTENSIONS and path == "url":
            return part.url == value.object.get("url")
        inside = path.removesuffix("resolve()").rstrip(".")
        declared: Element | None = part
        found = [value]
        for step in [] if inside in {"", "$this"} else _STEP.finditer(inside):
            declared, found = self._step(step, declared, found)
        if inside != path:
            return any(self._refers(declared, v) for v in found)
        return self._agrees(kind, declared, found)

    def _agrees(self, kind: str, declared: Element | None, found: list[Value]) -> bool:
        """Whether what was found is what the slice declares there."""
        if kind == "exists":
            absent = declared is not None and declared.max == 0
            return bool(found) != absent
        if declared is None:
            return True
        if kind == "type":
            return any(v.kind in {t["code"] for t in declared.types} for v in found)
        if kind == "profile":
            return any(self.profiles.conforms(declared, v, self.run) for v in found)
        return any(self._same(declared, v) for v in found)

    def _step(
        self, step: re.Match[str], declared: Element | None, found: list[Value]
    ) -> tuple[Element | None, list[Value]]:
        """One step of a discriminator's path, in the definition and in the values."""
        url, of_type = step[1], step[2]
        if url:
            reached = [v for f in found for v in values.below(f, ["extension"])]
            return _extension(declared, url), [v for v in reached if v.object.get("url") == url]
        if of_type:
            return declared, [v for v in found if v.kind == of_type]
        below = self.profiles.below(declared, step[0]) if declared else None
        return below, [v for f in found for v in values.below(f, [step[0]])]

    def _refers(self, declared: Element | None, value: Value) -> bool:
        """Whether a reference is to a type that the slice's reference may be to."""
        targets = self.profiles.limits(declared).targets if declared else ()
        return target_type(value.object, self.run) in targets

    def _same(self, declared: Element, value: Value) -> bool:
        """Whether `value` is what the slice fixes."""
        if declared.fixed:
            return bool(declared.fixed[0] == value.value)
        if declared.pattern:
            return values.matches(declared.pattern[0], value.value)
        if declared.value_set:
            return self.profiles.terminology.has(declared.value_set, value.value) is not False
        return self.profiles.conforms(declared, value, self.run)


def check_count(element: Element, found: Sequence[Value], name: str, at: Place, run: Run) -> None:
    """Cardinality; `at` is where the element would be if it is missing."""
    count = len(found)
    if count < element.min:
        text = f"{name}: minimum required = {element.min}, but only found {count}"
        run.error("required", text, at)
    if count > element.max:
        text = f"{name}: max allowed = {element.max}, but found {count}"
        run.error("structure", text, found[-1].place)


def _extension(declared: Element | None, url: str) -> Element | None:
    """The slice for the extension `url` below an element."""
    below = declared.children.get("extension") if declared else None
    slices = below.slices.values() if below else ()
    return next((s for s in slices if s.url == url), None)
