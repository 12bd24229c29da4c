"""Required bindings: which codes may stand where.

https://hl7.org/fhir/R4/terminologies.html#required
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.definitions.facts import Facts
from fhir_server.validation.place import Place
from fhir_server.validation.run import Json, Run

Codes = frozenset[tuple[str, str]]
Item = Callable[[Any, Place, Run], None]


def codes(facts: Facts, element: Json) -> frozenset[str] | None:
    """The codes that the element's binding allows; None when they cannot be listed."""
    listed = facts.value_sets.get(element.get("binding", ""))
    return None if listed is None else frozenset(code for _, code in listed)


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
