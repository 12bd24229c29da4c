"""The request body of a route: which fields it takes, checked all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.definitions.loader import did_you_mean
from fhir_server.mapping.codec import Refused
from fhir_server.mapping.faults import Faults
from fhir_server.mapping.field import Field
from fhir_server.problems import Issue, Problem

REQUIRED: Final = "required"
OPTIONAL: Final = "optional"
# One of several fields, of which a request names exactly one.
EITHER: Final = "either"
SHOWN_NAME: Final = 64
MOST_ISSUES: Final = 100


@dataclass(frozen=True, slots=True)
class Taken:
    """One field of the body; `default` is what a FHIR value is when it is left out."""

    field: Field
    required: bool
    declared: Any


@dataclass(frozen=True, slots=True)
class Body:
    """`defaults` are FHIR values; those that are words (`$now`) are the route's to supply."""

    taken: Mapping[str, Taken]
    defaults: Mapping[str, Any]

    def parse(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """FHIR values by field; Problem 400 naming every field that is wrong, within reason."""
        found, issues = dict(self.defaults), list[Issue]()
        for name, value in document.items():
            if len(issues) >= MOST_ISSUES:
                break
            taken = self.taken.get(name)
            if taken is None:
                near = did_you_mean(name[:SHOWN_NAME], self.taken)
                issues.append(_issue(name[:SHOWN_NAME], f"is not a field of this request{near}"))
            elif value is not None:
                _read(taken, value, found, issues)
        missing = (n for n, t in self.taken.items() if t.required and document.get(n) is None)
        issues += [_issue(name, "is required") for name in missing]
        issues += self._chosen(document)
        if issues:
            raise Problem(400, "invalid", issues[0].diagnostics, issues=issues)
        return found

    @property
    def choices(self) -> list[str]:
        """The fields of which a request names exactly one."""
        return [name for name, taken in self.taken.items() if taken.declared == EITHER]

    def _chosen(self, document: Mapping[str, Any]) -> list[Issue]:
        choices = self.choices
        named = [name for name in choices if document.get(name) is not None]
        if not choices or len(named) == 1:
            return []
        return [_issue((named or choices)[0], f"is one of {', '.join(choices)}: name exactly one")]


def _read(taken: Taken, value: Any, found: dict[str, Any], issues: list[Issue]) -> None:
    name = taken.field.name
    try:
        raw = taken.field.encode(value)
    except Refused as refused:
        issues.append(_issue(name + refused.place, str(refused)))
        return
    if taken.required and raw == []:
        issues.append(_issue(name, "must not be empty"))
    found[name] = _distinct(raw) if isinstance(raw, list) else raw


def _distinct(values: list[Any]) -> list[Any]:
    """What was named twice is meant once."""
    if all(isinstance(value, str) for value in values):
        return list(dict.fromkeys(values))
    return [value for at, value in enumerate(values) if value not in values[:at]]


def _issue(name: str, why: str) -> Issue:
    return Issue("error", "invalid", f"{name} {why}", name)


def compile_body(takes: Mapping[str, Any], fields: Mapping[str, Field], faults: Faults) -> Body:
    """The body that `takes` declares; unknown fields and impossible defaults are faults."""
    taken, defaults = {}, {}
    for name, declared in takes.items():
        field = fields.get(name)
        if field is None or not field.steps:
            faults.at(name).unknown("field", name, [n for n, f in fields.items() if f.steps])
            continue
        taken[name] = Taken(field, declared == REQUIRED, declared)
        if declared in (REQUIRED, OPTIONAL, EITHER) or _is_word(declared):
            continue
        try:
            defaults[name] = field.encode(declared)
        except Refused as refused:
            faults.at(name).add(f"the default {refused}")
    return Body(taken, defaults)


def _is_word(declared: Any) -> bool:
    return isinstance(declared, str) and declared.startswith("$")
