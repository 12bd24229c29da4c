"""A profile's differential as a tree: what it says of each element, and of the slices of it.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from fhir_server.validation import rules
from fhir_server.validation.run import Json

EXTENSIONS = ("extension", "modifierExtension")


class Limits(NamedTuple):
    """What `types` come to: type codes, the types a reference may name, and profiles by code."""

    codes: frozenset[str]
    targets: frozenset[str]
    profiles: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Element:
    """One element of the tree; what is None or empty says nothing.

    `types` are ElementDefinition.type as declared; `fixed` and `pattern` hold (value,);
    `discriminators` are (type, path) pairs; `url` is that of the profile for a root, and that of
    the extension for a slice of extensions. `limits` are worked out when first needed.
    """

    name: str
    url: str = ""
    min: int = 0
    max: float = inf
    types: Sequence[Json] = ()
    fixed: tuple[Any] | None = None
    pattern: tuple[Any] | None = None
    value_set: str | None = None
    rules: tuple[rules.Rule, ...] = ()
    discriminators: tuple[tuple[str, str], ...] = ()
    closed: bool = False
    children: dict[str, Element] = field(default_factory=dict)
    slices: dict[str, Element] = field(default_factory=dict)
    limits: Limits | None = None

    def at(self, steps: Sequence[str]) -> Element | None:
        """The element at the end of a path of names below this one."""
        here: Element | None = self
        for step in steps:
            below = here.children if here else {}
            here = below.get(step) or below.get(step + "[x]")
        return here


def tree(url: str, type_name: str, elements: Iterable[Json]) -> Element:
    """The root element of a profile on `type_name`."""
    top = Element(type_name, url)
    for declared in elements:
        _fill(_place(top, declared), declared)
    _name_slices(top)
    return top


def _name_slices(element: Element) -> None:
    """Tells slices of extensions the url they stand for."""
    for part in element.slices.values():
        if element.name in EXTENSIONS:
            part.url = _extension_url(part)
    for inner in (*element.children.values(), *element.slices.values()):
        _name_slices(inner)


def _extension_url(part: Element) -> str:
    fixed = part.at(["url"])
    if fixed and fixed.fixed:
        return str(fixed.fixed[0])
    urls = [str(url) for t in part.types for url in t.get("profile", ())]
    return urls[0].partition("|")[0] if urls else ""


def _place(top: Element, declared: Json) -> Element:
    """The tree's element that a differential element speaks of, made if need be."""
    names = str(declared.get("id", declared["path"])).split(".")[1:]
    if "id" not in declared and "sliceName" in declared:
        names[-1] += ":" + declared["sliceName"]
    here = top
    for step in names:
        name, _, slice_name = step.partition(":")
        here = here.children.setdefault(name, Element(name))
        if slice_name:
            here.discriminators = here.discriminators or _implied(name)
            here = here.slices.setdefault(slice_name, Element(name))
    return here


def _implied(name: str) -> tuple[tuple[str, str], ...]:
    """How slices are told apart where nobody says."""
    if name in EXTENSIONS:
        return (("value", "url"),)
    return (("type", "$this"),) if name.endswith("[x]") else ()


def _fill(element: Element, declared: Json) -> None:
    element.min = declared.get("min", element.min)
    if "max" in declared:
        element.max = inf if declared["max"] == "*" else int(declared["max"])
    element.types = declared.get("type", element.types)
    for key, value in declared.items():
        if key.startswith("fixed"):
            element.fixed = (value,)
        elif key.startswith("pattern"):
            element.pattern = (value,)
    binding = declared.get("binding", {})
    if binding.get("strength") == "required":
        element.value_set = binding.get("valueSet")
    element.rules = tuple(_rules(declared.get("constraint", ())))
    if slicing := declared.get("slicing"):
        pairs = [(d["type"], d["path"]) for d in slicing.get("discriminator", ())]
        element.discriminators = tuple(pairs) or _implied(element.name)
        element.closed = slicing.get("rules") == "closed"


def _rules(constraints: Iterable[Json]) -> Iterable[rules.Rule]:
    for one in constraints:
        if "expression" in one and one["key"] not in rules.ELSEWHERE:
            human = one.get("human", one["key"])
            yield rules.rule(one["key"], one["expression"], human, one.get("severity", "error"))
