"""A field's path: the part of FHIRPath that can be written as well as read.

Steps are element names, `ofType(T)` behind a choice, `where(a.b='c')`, `where(a=true)` and
`extension('url')`, which pick entries of a list by one fixed value. https://hl7.org/fhirpath/N1/
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from fhir_server.mapping.shapes import Shapes

_STEP = re.compile(
    r"ofType\((?P<type>\w+)\)"
    r"|where\((?P<key>\w+(?:\.\w+)*)\s*=\s*(?:'(?P<value>[^']*)'|(?P<truth>true|false))\)"
    r"|extension\('(?P<url>[^']*)'\)"
    r"|(?P<name>\w+)"
)


class PathError(ValueError):
    """What is wrong with a path; `known` are the names that would fit in its place."""

    def __init__(self, message: str, name: str = "", known: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.known = known


class Match(NamedTuple):
    """The value that lies in an entry at the end of `names`."""

    names: tuple[str, ...]
    value: str | bool

    def fits(self, entry: Any) -> bool:
        """Whether the entry has it."""
        for name in self.names:
            if type(entry) is not dict:
                return False
            entry = entry.get(name)
        return type(entry) is type(self.value) and entry == self.value

    def alone(self) -> dict[str, Any]:
        """An entry that has nothing else."""
        found: Any = self.value
        for name in reversed(self.names):
            found = {name: found}
        return dict(found)


@dataclass(frozen=True, slots=True)
class Step:
    """One JSON property on the way: `name` as FHIR says it, `json` as it is written.

    `type` is the type of the value, or the path of its backbone element; `match` what an entry of
    this list must have.
    """

    name: str
    json: str
    type: str
    many: bool
    match: Match | None = None


def parse_path(path: str, start: str, shapes: Shapes) -> tuple[Step, ...]:
    """The steps of `path` below the type or backbone element `start`; PathError if it has none."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if not found or path[found.end() : found.end() + 1] not in ("", "."):
            raise PathError(f"cannot read the path from '{path[at:]}'")
        here = steps[-1].type if steps else start
        if found["name"] or found["url"] is not None:
            _settled(steps)
        _take(found, here, steps, shapes)
        at = found.end() + 1
    if not steps:
        raise PathError("the path is empty")
    _settled(steps)
    return tuple(steps)


def _take(found: re.Match[str], here: str, steps: list[Step], shapes: Shapes) -> None:
    if found["name"]:
        steps.append(_child(here, found["name"], shapes))
    elif found["url"] is not None:
        steps.append(
            replace(_child(here, "extension", shapes), match=Match(("url",), found["url"]))
        )
    elif not steps:
        raise PathError("a path begins with an element")
    elif found["type"]:
        steps[-1] = _chosen(here, found["type"], steps[-1])
    elif steps[-1].many and steps[-1].match is None:
        steps[-1] = replace(steps[-1], match=_match(found, here, shapes))
    else:
        raise PathError(f"where() needs a list, once, before '{found[0]}'")


def _match(found: re.Match[str], here: str, shapes: Shapes) -> Match:
    """What `where()` asks for; every name must be an element that does not repeat."""
    names = tuple(found["key"].split("."))
    for name in names:
        step = _child(here, name, shapes)
        if step.many:
            raise PathError(f"{name} repeats, so where() cannot look into it")
        here = step.type
    return Match(names, found["value"] if found["truth"] is None else found["truth"] == "true")


def _child(here: str, name: str, shapes: Shapes) -> Step:
    child = shapes.child(here, name)
    if child is None:
        raise PathError(f"{here} has no element '{name}'", name, shapes.names(here))
    types = "|".join(child.types)
    return Step(name, name, types, child.many)


def _chosen(here: str, chosen: str, step: Step) -> Step:
    types = here.split("|")
    if chosen not in types:
        raise PathError(f"{step.name} cannot be a {chosen}", chosen, tuple(types))
    json = step.name + chosen[0].upper() + chosen[1:] if len(types) > 1 else step.json
    return replace(step, json=json, type=chosen)


def _settled(steps: list[Step]) -> None:
    """A choice must be made before the path goes on."""
    if steps and "|" in steps[-1].type:
        types = steps[-1].type.split("|")
        raise PathError(f"{steps[-1].name} is a choice: say ofType() of {', '.join(types[:6])} …")
