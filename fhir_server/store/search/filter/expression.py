"""What a filter says, and where its parts stand: positions count characters from 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a path, with `:Type` where given, and what is asked of what it leads to:
    `subject[active eq true].name`."""

    name: str
    filter: Expression | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """`path operator value`; `at` and `value_at` are where the path and the value begin."""

    path: tuple[Step, ...]
    operator: str
    value: str
    at: int
    value_at: int


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    of: Expression


@dataclass(frozen=True, slots=True)
class Joined:
    """Two or more parts, none of which is joined by the same word."""

    word: Literal["and", "or"]
    parts: tuple[Expression, ...]


Expression = Term | Not | Joined


def joined(word: Literal["and", "or"], left: Expression, right: Expression) -> Joined:
    """Both, as one list where the word is the same."""
    parts = [_parts(word, one) for one in (left, right)]
    return Joined(word, (*parts[0], *parts[1]))


def _parts(word: str, one: Expression) -> tuple[Expression, ...]:
    return one.parts if isinstance(one, Joined) and one.word == word else (one,)


def terms(expression: Expression) -> Iterator[Term]:
    """All of them, those in brackets as well."""
    match expression:
        case Not(of):
            yield from terms(of)
        case Joined(_, parts):
            for part in parts:
                yield from terms(part)
        case Term(path):
            yield expression
            for step in path:
                if step.filter:
                    yield from terms(step.filter)
