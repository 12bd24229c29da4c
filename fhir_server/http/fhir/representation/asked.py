"""How a request asks its answer to look: `_format`, `_pretty`, `_summary`, `_elements`.

https://hl7.org/fhir/R4/http.html#general
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

from fhir_server.fhir.subset import Mode
from fhir_server.http.fhir.representation.formats import FHIR_JSON, JSON, Format, wanted
from fhir_server.http.wire import Request
from fhir_server.problems import Problem

Pairs = Sequence[tuple[str, str]]
NAMES: Final = frozenset({"_format", "_pretty", "_elements", "_summary"})
MODES: Final = ("true", "text", "data", "count", "false")
MOST_ELEMENTS: Final = 200
# Elements within elements: `extension.extension` … has no end of its own.
DEEPEST: Final = 16


@dataclass(frozen=True, slots=True)
class Presentation:
    """`mode` and `elements` are those of the parameters, `counted` that only a total is asked
    for."""

    format: Format
    pretty: bool = False
    mode: Mode | None = None
    elements: tuple[str, ...] = ()
    counted: bool = False

    @property
    def partial(self) -> bool:
        return self.mode is not None or bool(self.elements)


# What most clients ask for, told without a further look.
PLAIN: Final = Presentation(JSON)
USUAL: Final = frozenset({None, "*/*", FHIR_JSON})


def presentation(request: Request) -> Presentation:
    """Problem 406 for a format that is not served, 400 for a value that is none."""
    asked = request.parameters()
    given = [(n, v) for n, v in asked if n in NAMES] if asked else []
    accept = request.header("accept")
    if not given and accept in USUAL:
        return PLAIN
    return _presentation(accept, tuple(given), _reads(request))


def bare(request: Request) -> Presentation:
    """The format alone."""
    formats = [value for name, value in request.parameters() if name == "_format"]
    return Presentation(wanted(formats[0] if formats else None, request.header("accept")))


@lru_cache(maxsize=128)
def _presentation(accept: str | None, given: Pairs, reads: bool) -> Presentation:  # noqa: FBT001
    single = dict(reversed(given))
    format_ = wanted(single.get("_format"), accept)
    pretty = _pretty(single.get("_pretty", "false"))
    if not reads:
        # What a write answers is not made smaller: a client keeps it as what is stored.
        return Presentation(format_, pretty)
    summary = _one_of("_summary", single.get("_summary", "false"), MODES)
    elements = tuple(_elements(value for name, value in given if name == "_elements"))
    if elements and summary != "false":
        raise _wrong("_elements", "_elements and _summary exclude each other")
    mode = cast("Mode", summary) if summary in {"true", "text", "data"} else None
    return Presentation(format_, pretty, mode, elements, summary == "count")


def _reads(request: Request) -> bool:
    if request.method == "POST":
        return bool(request.scope["path"].endswith("/_search"))
    return request.method in {"GET", "HEAD"}


def _pretty(text: str) -> bool:
    return _one_of("_pretty", text, ("true", "false")) == "true"


def _elements(values: Iterable[str]) -> list[str]:
    found = [name.strip() for value in values for name in value.split(",")]
    if len(found) > MOST_ELEMENTS:
        raise _wrong("_elements", f"_elements names more than {MOST_ELEMENTS}")
    if any(name.count(".") > DEEPEST for name in found):
        raise _wrong("_elements", f"_elements goes deeper than {DEEPEST} elements")
    return [name for name in found if name]


def _one_of(name: str, text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise _wrong(name, f"{name} is one of {', '.join(known)}")
    return text


def _wrong(name: str, why: str) -> Problem:
    return Problem(400, "value", why, expression=name)
