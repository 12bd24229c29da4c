"""One request of a scenario, the statements that answered it, and the answer.

The floor is made of this and nothing of the server: the same SQL text, the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Args = dict[str, Any]
Values = Sequence[str]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text with named parameters, and the arguments it ran with."""

    sql: str
    args: Mapping[str, Any]
    fetches: bool


@dataclass(frozen=True, slots=True)
class Recording:
    """`marks` are the values of the recorded request that another request has others for."""

    scenario: str
    statements: Sequence[Statement]
    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    marks: Values


def filler(args: Mapping[str, Any], marks: Values) -> Callable[[Values], Args]:
    """A function that gives `args` with each mark replaced by another request's value."""
    fixed = {name: value for name, value in args.items() if not _has(value, marks)}
    moving = [(name, value) for name, value in args.items() if name not in fixed]

    def fill(values: Values) -> Args:
        pairs = list(zip(marks, values, strict=True))
        return fixed | {name: _replaced(value, pairs) for name, value in moving}

    return fill


def text_filler(text: bytes, marks: Values) -> Callable[[Values], bytes]:
    """The same for an answer."""
    encoded = [(n, mark.encode()) for n, mark in enumerate(marks) if mark.encode() in text]

    def fill(values: Values) -> bytes:
        filled = text
        for n, mark in encoded:
            filled = filled.replace(mark, values[n].encode())
        return filled

    return fill


def _has(value: Any, marks: Values) -> bool:
    if isinstance(value, list):
        return any(_has(one, marks) for one in value)
    return isinstance(value, str) and any(mark in value for mark in marks)


def _replaced(value: Any, pairs: Sequence[tuple[str, str]]) -> Any:
    if isinstance(value, list):
        return [_replaced(one, pairs) for one in value]
    if isinstance(value, str):
        for mark, other in pairs:
            value = value.replace(mark, other)
    return value
