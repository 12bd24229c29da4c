"""Where in a resource something is: a chain of steps, made text only when there is an issue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

# (what it is in, element name, index in a repeating element)
Place = tuple[Optional["Place"], str, int | None]


def root(name: str) -> Place:
    return (None, name, None)


def steps(place: Place | None) -> Iterator[Place]:
    """From the innermost step outwards."""
    while place is not None:
        yield place
        place = place[0]


def fhirpath(place: Place) -> str:
    """`Communication.payload[0].content.ofType(string)`."""
    parts = [name if at is None else f"{name}[{at}]" for _, name, at in steps(place)]
    return ".".join(reversed(parts))


def definition_path(place: Place) -> str:
    """`Communication.payload.content`, as a StructureDefinition would name it."""
    names = []
    for _, name, _ in steps(place):
        names.append(name.partition(".")[0])
        if name[0].isupper() or name in ("resource", "contained"):
            break
    return ".".join(reversed(names))
