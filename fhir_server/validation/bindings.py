"""Required bindings: which codes may stand where.

https://hl7.org/fhir/R4/terminologies.html#required
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fhir_server.definitions.facts import Facts
from fhir_server.validation.place import Place
from fhir_server.validation.run import Json, Run

Codes = frozenset[tuple[str, str]]
Item = Callable[[Any, Place, Run], None]


# What codes look like where the list of them is somebody else's.
SHAPES: Mapping[str, re.Pattern[str]] = {
    "http://hl7.org/fhir/ValueSet/all-languages": re.compile(
        r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*", re.ASCII
    ),
    "http://hl7.org/fhir/ValueSet/currencies": re.compile(r"[A-Z]{3}", re.ASCII),
}


def code_test(facts: Facts, element: Json) -> Callable[[str], object] | None:
    """Tells whether the element's binding allows a code; None when there is no telling."""
    url = element.get("binding", "")
    listed = facts.value_sets.get(url)
    if listed is not None:
        return frozenset(code for _, code in listed).__contains__
    return SHAPES[url].fullmatch if url in SHAPES else None


def codings(value: Any, type_name: str) -> Iterator[tuple[Any, Any]]:
    """The (system, code) pairs in a Coding, Quantity or CodeableConcept."""
    held = value.get("coding", ()) if type_name == "CodeableConcept" else [value]
    for coding in held if isinstance(held, list) else ():
        if isinstance(coding, dict):
            yield coding.get("system"), coding.get("code")


def coded(listed: Codes, url: str, type_name: str) -> Item:
    """The check that one of the codings is in the value set."""

    def check(value: Any, at: Place, run: Run) -> None:
        pairs = list(codings(value, type_name))
        if not any(pair_in(listed, s, c) for s, c in pairs):
            what = "None of the codings is" if pairs else "There is no coding"
            run.error("code-invalid", f"{what} in the value set {url}", at)

    return check


def pair_in(listed: Codes, system: Any, code: Any) -> bool:
    texts = isinstance(code, str) and isinstance(system, str | None)
    return texts and (system, code) in listed


def absolute_system(value: Json, at: Place, run: Run) -> None:
    """The `system` of a Coding or Identifier must mean the same everywhere."""
    system = value.get("system")
    if isinstance(system, str) and ":" not in system:
        run.error("value", "must be an absolute URI", (at, "system", None))
