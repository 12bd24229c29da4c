"""The elements of R4 one by one, as a patch asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fhir_server.definitions.facts import Facts, Json
from fhir_server.fhir.patch import Element

# Their children are defined where they stand.
_NAMELESS = frozenset({"BackboneElement", "Element"})
_PRIMITIVE = "Element"


@dataclass(frozen=True, slots=True)
class R4Shapes:
    """The shapes of every R4 type. https://hl7.org/fhir/R4/elementdefinition.html"""

    facts: Facts

    def element(self, shape: str, name: str) -> Element | None:
        """The child element `name` of a shape, or of what the shape is based on."""
        for base in self._bases(shape):
            elements = self.facts.structures[base.partition(".")[0]]["elements"]
            path = f"{base}.{name}"
            if path in elements:
                return Element(_repeats(elements[path]), {name: _shape(path, elements[path])})
            if (choice := elements.get(f"{path}[x]")) is not None:
                return Element(_repeats(choice), {_key(name, t): t for t in choice["type"]})
        return None

    def _bases(self, shape: str) -> Iterator[str]:
        while shape:
            root, _, inner = shape.partition(".")
            structure = self.facts.structures.get(root)
            if structure is None:
                shape = "" if root[:1].isupper() else _PRIMITIVE
                continue
            yield shape
            shape = structure["elements"][shape]["type"][0] if inner else structure["base"]


def _shape(path: str, element: Json) -> str:
    if "content" in element:
        return str(element["content"])
    code: str = element["type"][0]
    return path if code in _NAMELESS else code


def _key(name: str, code: str) -> str:
    return name + code[0].upper() + code[1:]


def _repeats(element: Json) -> bool:
    most: str = element.get("max", "1")
    return most != "1"
