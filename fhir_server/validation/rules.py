"""The invariants of R4 and of profiles, as compiled FHIRPath.

An invariant holds when its expression gives true. A few of R4 give nothing at all on good data
(dates of unlike precision, a bundle entry without a fullUrl): those are written out here.
https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from fhir_server.fhir import instant
from fhir_server.fhir.path import PathError
from fhir_server.fhir.path import compile as compile_path
from fhir_server.validation.place import Place
from fhir_server.validation.run import Json, Run

Native = Callable[[Json], bool]


class Rule(NamedTuple):
    """`test` gets the element, the resource it is in and the outermost resource."""

    key: str
    human: str
    test: Callable[[Any, Json, Json], bool]
    severity: str = "error"


def _period(node: Json) -> bool:
    start, end = node.get("start"), node.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return True
    try:
        return instant.interval(start)[0] < instant.interval(end)[1]
    except ValueError:
        return True


def _range(node: Json) -> bool:
    low, high = node.get("low"), node.get("high")
    if not isinstance(low, dict) or not isinstance(high, dict):
        return True
    if (low.get("code"), low.get("system")) != (high.get("code"), high.get("system")):
        return True
    first, last = low.get("value"), high.get("value")
    if isinstance(first, int | float) and isinstance(last, int | float):
        return first <= last
    return True


def _fullurl(node: Json) -> bool:
    return "/_history/" not in str(node.get("fullUrl"))


NATIVE: Mapping[str, Native] = {
    "start.hasValue().not() or end.hasValue().not() or (start <= end)": _period,
    "low.empty() or high.empty() or (low <= high)": _range,
    "fullUrl.contains('/_history/').not()": _fullurl,
}
# Held by the validator's own code: ele-1 and ext-1 (structure), dom-2 to dom-5 and ref-1
# (references), txt-1 and txt-2 (xhtml).
ELSEWHERE = frozenset({"ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "ref-1"})
ELSEWHERE |= {"txt-1", "txt-2"}


@lru_cache(maxsize=1024)
def rule(key: str, expression: str, human: str, severity: str = "error") -> Rule:
    """The rule of an `expression`; FHIRPath is compiled when the rule is first put to use."""
    native = NATIVE.get(expression)
    if native is not None:
        return Rule(key, human, lambda node, _resource, _root: native(node), severity)

    def test(node: Any, resource: Json, root: Json) -> bool:
        return compile_path(expression).values(node, resource, root) == [True]

    return Rule(key, human, test, severity)


def of_constraints(constraints: Sequence[Sequence[str]]) -> tuple[Rule, ...]:
    """The rules of `[key, expression, human]` facts, without those held elsewhere."""
    return tuple(rule(*c) for c in constraints if c[0] not in ELSEWHERE)


def check(rules: Sequence[Rule], node: Any, at: Place, run: Run) -> None:
    for key, human, test, severity in rules:
        try:
            held, verb = test(node, run.resource, run.root), "failed"
        except PathError:
            held, verb = False, "cannot be evaluated"
        if not held:
            add = run.error if severity == "error" else run.warn
            add("invariant", f"Constraint {verb}: {key}: '{human}'", at)
