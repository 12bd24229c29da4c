"""The code that an operation is asked about, in one of the three shapes FHIR gives it.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fhir_server.problems import Problem, invalid
from fhir_server.terminology.arguments import Arguments

SHAPES = ("code", "coding", "codeableConcept")
MOST_CODINGS = 100


class Coded(NamedTuple):
    """One coding; `system` is None where the context must tell it."""

    system: str | None
    code: str
    display: str | None
    version: str | None


def asked(arguments: Arguments, system: str | None, version: str = "version") -> Sequence[Coded]:
    """The codings of a request: `system` goes with a bare code, `version` names its parameter."""
    given = [shape for shape in SHAPES if shape in arguments.given]
    if len(given) != 1:
        raise invalid("one of code, coding and codeableConcept is required")
    if given == ["code"]:
        code, display = arguments.text("code"), arguments.text("display")
        return [_coded({"code": code, "display": display}, system, arguments.text(version))]
    element = arguments.element(given[0]) or {}
    listed = [element] if given == ["coding"] else element.get("coding", ())
    found = [_coded(one) for one in listed]
    if len(found) > MOST_CODINGS:
        raise Problem(400, "too-costly", f"more than {MOST_CODINGS} codings")
    if not found:
        raise invalid("the codeableConcept has no coding", "codeableConcept")
    return found


def _coded(
    coding: Mapping[str, Any], system: str | None = None, version: str | None = None
) -> Coded:
    code = coding.get("code")
    if not code:
        raise invalid("a coding must have a code", "code")
    found = coding.get("system", system), coding.get("version", version)
    return Coded(found[0], code, coding.get("display"), found[1])
