"""What a type looks like: the properties by which its elements appear in JSON, in the order that
XML asks for, each with what its value is and whether a summary has it.

https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

# `attribute`: in XML an attribute of its parent; `resource`: any resource, told by itself.
Kind = Literal["attribute", "primitive", "xhtml", "object", "resource"]


class Property(NamedTuple):
    """`valueString` is the property of element `value` for type `string`.

    `type` is a primitive type, or the name of a shape; `position` that of the element among all
    of the shape.
    """

    key: str
    element: str
    kind: Kind
    type: str
    position: int
    repeats: bool
    required: bool
    summary: bool


@dataclass(frozen=True)
class Shape:
    """The properties of a type by their key, those of its base types first."""

    name: str
    properties: Mapping[str, Property]
    is_resource: bool

    @cached_property
    def elements(self) -> frozenset[str]:
        """The names by which its elements are asked for."""
        return frozenset(one.element for one in self.properties.values())

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        return tuple(key for key, one in self.properties.items() if one.kind == "attribute")

    @cached_property
    def summarized(self) -> bool:
        """Whether R4 says which of its elements a summary has; it does not for Extension."""
        return any(one.summary for one in self.properties.values())


class Shapes(Protocol):
    """Knows the shape of every type (`Period`) and of its inner elements (`Patient.contact`)."""

    def shape(self, name: str) -> Shape:
        """KeyError where there is none."""
