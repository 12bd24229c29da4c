"""No regular expression takes longer than its text is long (ReDoS).

https://owasp.org/www-community/attacks/Regular_expression_Denial_of_Service_-_ReDoS
"""

from __future__ import annotations

import re
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest

from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.patch import fhirpath_patch
from fhir_server.problems import Problem
from tests.attacks.patterns import Used, texts, used

# Seconds of work on a short text from which a look at a longer one is worth while.
WORTH_WHILE = 0.002
# A text four times as long takes four times as long, or sixteen times where work is squared.
LONGER, MARGIN = 4, 9

# Only ever applied to texts that no client writes.
OF_OURS = {
    "fhir_server.fhir.path.fallback._CALL": "expressions of the declared profiles",
    "fhir_server.fhir.path.fallback._STRING": "expressions of the declared profiles",
    "fhir_server.validation.comments._STRING_OR_COMMENT": "official cases, which have comments",
}
# Applied at one place of a text that is short.
AT_ONE_PLACE = {"fhir_server.store.search.filter.parser"}

FOUND = sorted(
    {(one.pattern.pattern, one.method): one for one in used()}.values(),
    key=lambda one: (one.where, one.method),
)


def method(one: Used) -> str:
    return "match" if one.where.rpartition(".")[0] in AT_ONE_PLACE else one.method


def runner(one: Used) -> Callable[[Any], object]:
    """All the work that one use may be."""
    if method(one) == "search":
        return lambda text: sum(1 for _ in one.pattern.finditer(text))
    found: Callable[[Any], object] = getattr(one.pattern, method(one))
    return found


def cost(run: Callable[[Any], object], text: Any, times: int = 1) -> float:
    """Seconds of the processor, the least of some."""
    best = float("inf")
    for _ in range(times):
        begun = process_time()
        run(text)
        best = min(best, process_time() - begun)
    return best


def growth(run: Callable[[Any], object], start: Any, pumped: Any, end: Any) -> float:
    """How many times as long a text takes of which a part is LONGER."""
    short, longer = start + pumped + end, start + pumped * LONGER + end
    return cost(run, longer, 2) / max(cost(run, short, 2), 1e-6)


def test_there_are_patterns_to_look_at() -> None:
    assert len(FOUND) > 50
    assert {one.where for one in FOUND} >= set(OF_OURS)


@pytest.mark.parametrize("one", FOUND, ids=lambda one: f"{one.where}-{one.method}")
def test_work_grows_as_the_text_does(one: Used) -> None:
    if one.where in OF_OURS:
        return
    run = runner(one)
    for start, pumped, end in texts(one.pattern):
        short = start + pumped + end
        if cost(run, short) < WORTH_WHILE:
            continue
        for _ in range(3):
            # Whatever else the machine did meanwhile is not ours.
            grown = growth(run, start, pumped, end)
            if grown < MARGIN:
                break
        assert grown < MARGIN, (one, short[:40])


def test_the_measure_tells_squared_work_from_work_in_proportion() -> None:
    for pattern, pumped in ((r"<[^>]*>", "<" * 8000), (r"x*y", "x" * 2000)):
        assert growth(runner(Used("here", re.compile(pattern), "search")), "", pumped, "") > MARGIN
    plain = runner(Used("here", re.compile(r"[a-z]+"), "search"))
    assert min(growth(plain, "", "a1" * 8000, "") for _ in range(3)) < MARGIN


@pytest.mark.parametrize("call", ["matches('(a+)+$')", "replaceMatches('(a+)+$', '')"])
def test_a_client_brings_no_regular_expression(call: str) -> None:
    """The one place for a client's FHIRPath is a patch, which takes none of them."""
    for path in (f"Patient.name.where(family.{call})", f"Patient.name.family.{call}"):
        parts = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": path}]
        body = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
        patient = {"resourceType": "Patient", "name": [{"family": "a" * 40 + "!"}]}
        with pytest.raises(Problem) as refused:
            fhirpath_patch(body, r4_shapes())(patient)
        assert 400 <= refused.value.status < 500
