"""The shapes of R4, as a patch, a summary and XML ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from fhir_server.definitions.facts import Facts, Json, load_facts
from fhir_server.fhir.patch import Element
from fhir_server.fhir.shapes import Kind, Property, Shape

# Their children are defined where they stand.
_NAMELESS = frozenset({"BackboneElement", "Element"})
_PRIMITIVE = "Element"
# https://hl7.org/fhir/R4/xml.html: these are attributes in XML.
_ATTRIBUTES = frozenset({"Element.id", "Extension.url"})


@dataclass(frozen=True, slots=True)
class R4Shapes:
    """The shapes of every R4 type, each made when it is first asked for.
    https://hl7.org/fhir/R4/elementdefinition.html"""

    facts: Facts
    _known: dict[str, Shape] = field(default_factory=dict)

    def shape(self, name: str) -> Shape:
        """The shape of a type or of a backbone element; KeyError where there is none."""
        found = self._known.get(name)
        if found is None:
            bases = list(self._bases(name))
            if not bases:
                raise KeyError(name)
            found = self._known[name] = Shape(name, self._properties(bases), "Resource" in bases)
        return found

    def element(self, shape: str, name: str) -> Element | None:
        """The child element `name` of a shape, or of what the shape is based on."""
        known = self.facts.structures
        primitive = shape.partition(".")[0] not in known and not shape[:1].isupper()
        try:
            properties = self.shape(_PRIMITIVE if primitive else shape).properties
        except KeyError:
            return None
        named = [one for one in properties.values() if one.element == name]
        return Element(named[0].repeats, {p.key: p.type for p in named}) if named else None

    def _bases(self, shape: str) -> Iterator[str]:
        """The shape and what it is based on, the innermost first."""
        while shape:
            root, _, inner = shape.partition(".")
            if root not in self.facts.structures:
                return
            structure = self.facts.structures[root]
            yield shape
            shape = structure["elements"][shape]["type"][0] if inner else structure["base"]

    def _properties(self, bases: list[str]) -> dict[str, Property]:
        found: dict[str, Property] = {}
        position = 0
        for base in reversed(bases):
            elements = self.facts.structures[base.partition(".")[0]]["elements"]
            head = base + "."
            for path, facts in elements.items():
                if path.startswith(head) and "." not in path[len(head) :]:
                    position += 1
                    found |= {p.key: p for p in _of_element(path, facts, position)}
        return found


@cache
def r4_shapes() -> R4Shapes:
    """Those of the generated tables."""
    return R4Shapes(load_facts())


def _of_element(path: str, facts: Json, position: int) -> Iterator[Property]:
    """Its property, or one for each type of a choice."""
    name = path.rpartition(".")[2]
    element = name.removesuffix("[x]")
    for code in facts.get("type", ("",)):
        key = element + code[0].upper() + code[1:] if name != element else element
        type_ = _type(path, facts, code)
        kind = "attribute" if path in _ATTRIBUTES else _kind(type_)
        yield Property(
            key,
            element,
            kind,
            type_,
            position,
            facts.get("max", "1") != "1",
            bool(facts.get("min")),
            bool(facts.get("summary")),
        )


def _type(path: str, facts: Json, code: str) -> str:
    if "content" in facts:
        return str(facts["content"])
    return path if code in _NAMELESS else code


def _kind(type_: str) -> Kind:
    if type_ in {"Resource", "xhtml"}:
        return "resource" if type_ == "Resource" else "xhtml"
    return "object" if type_[0].isupper() else "primitive"
