"""What both kinds of patch share: steps that run in order on a copy, within limits.

A refusal names the step by its index, and quotes nothing of the resource. What comes out is read
again as if a client had sent it, so that no patch can make what an update could not send.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from fhir_server.fhir.json import dumps, parse
from fhir_server.problems import Problem

Resource = dict[str, Any]
Change = Callable[[Resource], Resource]

MOST_OPERATIONS = 500
LARGEST = 2 * 1024 * 1024
DEEPEST = 64
# Values copied and elements looked at: what a small patch could multiply.
MOST_WORK = 1_000_000
# So many characters of a text count as one value more.
TEXT = 16
# No patch makes another resource of this one.
FIXED = ("resourceType", "id")


class Refused(Exception):
    """Why a step is malformed, or cannot be done; the step's index is added further out."""

    def __init__(self, why: str, code: str = "processing") -> None:
        super().__init__(why)
        self.why = why
        self.code = code


class Budget:
    """What work a patch has left; Refused when there is none."""

    def __init__(self, work: int = MOST_WORK) -> None:
        self._left = work

    def spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise Refused("the patch takes too much work", "too-costly")


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: `run` changes the document it is given and answers what it is now."""

    name: str
    expression: str
    run: Callable[[Any, Budget], Any]


def refuse(status: int, name: str, expression: str, refused: Refused) -> NoReturn:
    """400 for an operation that is malformed, 422 for one that does not fit the resource."""
    why = f"operation {name}: {refused.why}"
    raise Problem(status, refused.code, why, expression=expression) from None


def compiled(name: str, expression: str, compile: Callable[[], Callable[..., Any]]) -> Step:
    """The step, or a Problem 400 that names it."""
    try:
        return Step(name, expression, compile())
    except RecursionError:
        refuse(400, name, expression, Refused("it is nested too deeply", "too-costly"))
    except Refused as refused:
        refuse(400, name, expression, refused)


def check_number(operations: int) -> None:
    """400 for a patch of too many operations."""
    if operations > MOST_OPERATIONS:
        why = f"a patch has {MOST_OPERATIONS} operations at most"
        raise Problem(400, "too-costly", why)


def changing(steps: Sequence[Step], largest: int = LARGEST) -> Change:
    """All steps or none; Problem 422 when one cannot be done."""

    def change(resource: Resource) -> Resource:
        document, budget = parse(dumps(resource)), Budget()
        for step in steps:
            document = _done(step, document, budget)
        return _read_again(document, resource, largest)

    return change


def _done(step: Step, document: Any, budget: Budget) -> Any:
    try:
        return step.run(document, budget)
    except Refused as refused:
        refuse(422, step.name, step.expression, refused)


def _read_again(document: Any, before: Resource, largest: int) -> Resource:
    for key in FIXED:
        if not isinstance(document, dict) or document.get(key) != before.get(key):
            raise Problem(422, "business-rule", f"a patch may not change {key}", expression=key)
    try:
        body = dumps(document)
    except TypeError:
        raise Problem(422, "structure", "the outcome cannot be written as JSON") from None
    if len(body) > largest:
        raise Problem(422, "too-long", f"the outcome would be larger than {largest} bytes")
    return parse(body, DEEPEST)


def copied(value: Any, budget: Budget, depth: int = 0) -> Any:
    """A copy that shares nothing that could be changed."""
    if depth > DEEPEST:
        raise Refused("what it would give is nested too deeply", "too-costly")
    if isinstance(value, dict):
        budget.spend(1 + sum(map(len, value)) // TEXT)
        return {key: copied(child, budget, depth + 1) for key, child in value.items()}
    if isinstance(value, list):
        budget.spend(1)
        return [copied(child, budget, depth + 1) for child in value]
    budget.spend(1 + len(value) // TEXT if isinstance(value, str) else 1)
    return value


def size(value: Any) -> int:
    """How many values it holds, itself among them."""
    waiting = [value]
    for each in waiting:
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return len(waiting)
