"""What a patch must know of R4: which elements there are, which repeat, which have a choice.

A shape is where an element's children are defined: `Patient.contact`, or a type such as
`HumanName`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Element(NamedTuple):
    """An element; `keys` tells the shape of its content by JSON key, of which a choice element
    has several."""

    repeats: bool
    keys: Mapping[str, str]


class Shapes(Protocol):
    """The definitions that tell."""

    def element(self, shape: str, name: str) -> Element | None:
        """The child element `name` of a shape; None where there is none."""
