"""The parameters that shape the answer rather than select resources.

https://hl7.org/fhir/R4/search.html#return
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from fhir_server.problems import Problem

DEFAULT_COUNT: Final = 20
MOST_COUNT: Final = 1000
# Answered by the HTTP face; a search only lets them pass.
PRESENTATION: Final = frozenset({"_format", "_pretty", "_elements", "_summary"})
_INCLUDES: Final = frozenset({"_include", "_revinclude"})
_TOTALS: Final = frozenset({"none", "accurate", "estimate"})
_SINGLE: Final = frozenset({"_count", "_total", "_cursor", "_sort", *PRESENTATION})

Pair = tuple[str, str]
Total = Literal["none", "accurate", "estimate"]


@dataclass(slots=True)
class ResultParameters:
    """`criteria` are the parameters that remain; `presented` those of the HTTP face."""

    count: int = DEFAULT_COUNT
    sort: str = ""
    total: Total = "none"
    cursor: str = ""
    includes: list[Pair] = field(default_factory=list)
    criteria: list[Pair] = field(default_factory=list)
    others: list[Pair] = field(default_factory=list)


def read(params: Sequence[Pair]) -> ResultParameters:
    """Sorts out `params`; Problem 400 for a value that is none."""
    found = ResultParameters()
    for pair in params:
        name, value = pair
        if not name.startswith("_"):
            found.criteria.append(pair)
        elif name.partition(":")[0] in _INCLUDES:
            found.includes.append(pair)
        elif name in _SINGLE:
            _single(found, name, value)
            if name != "_cursor":
                found.others.append(pair)
        else:
            found.criteria.append(pair)
    return found


def _single(found: ResultParameters, name: str, value: str) -> None:
    if name == "_count":
        found.count = _count(value)
    elif name == "_total":
        found.total = _total(value)
    elif name == "_sort":
        found.sort = f"{found.sort},{value}" if found.sort else value
    elif name == "_cursor":
        found.cursor = value
    elif name == "_summary" and value == "count":
        found.count = 0


def _total(text: str) -> Total:
    if text not in _TOTALS:
        raise Problem(400, "value", "_total is none, accurate or estimate", expression="_total")
    return cast(Total, text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise Problem(400, "value", "_count is not a whole number", expression="_count")
    return min(int(text), MOST_COUNT)
