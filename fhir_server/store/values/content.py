"""All that a person would read in a resource: its strings, markdown and narratives.

Which elements these are the structures of R4 tell; codes, addresses, dates and numbers are left
to the parameters that know them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fhir_server.store.values.words import plain

Structures = Mapping[str, Mapping[str, Any]]
_READ = frozenset({"string", "markdown", "xhtml"})
# Strings by type, and yet no words.
_ADDRESSES = frozenset({"Reference.reference"})
# Names that no structure has must not stay in memory for ever.
MOST_KNOWN = 16_384
# Defined where they stand.
_INLINE = frozenset({"BackboneElement", "Element"})


class _Element(NamedTuple):
    """What an element holds: words, a resource, or the elements defined at `path`."""

    path: str = ""
    read: bool = False
    narrative: bool = False
    resource: bool = False


_OTHER = _Element()


class Content:
    """Reads resources by `structures`: R4 type → its elements by path."""

    def __init__(self, structures: Structures) -> None:
        self._structures = structures
        self._elements: dict[tuple[str, str], _Element] = {}

    def texts(self, resource: Mapping[str, Any]) -> list[str]:
        """Every text, in the order of the resource."""
        found: list[str] = []
        self._inside(resource["resourceType"], resource, found)
        return found

    def _inside(self, path: str, node: Mapping[str, Any], found: list[str]) -> None:
        known = self._elements
        for name, value in node.items():
            element = known.get((path, name))
            if element is None:
                element = self._learned(path, name)
            if element is _OTHER:
                continue
            if type(value) is list:
                for one in value:
                    self._one(element, one, found)
            else:
                self._one(element, value, found)

    def _one(self, element: _Element, value: Any, found: list[str]) -> None:
        if type(value) is str:
            if element.read:
                found.append(plain(value) if element.narrative else value)
        elif isinstance(value, dict):
            path = value.get("resourceType", "") if element.resource else element.path
            if path:
                self._inside(path, value, found)

    def _learned(self, path: str, name: str) -> _Element:
        found = self._found(path, name)
        if found is not _OTHER or len(self._elements) < MOST_KNOWN:
            self._elements[path, name] = found
        return found

    def _found(self, path: str, name: str) -> _Element:
        if name.startswith("_"):
            return _Element("Element")
        if name in {"id", "resourceType"} or f"{path}.{name}" in _ADDRESSES:
            return _OTHER
        root = path.partition(".")[0]
        while root in self._structures:
            elements = self._structures[root]["elements"]
            for at, kind in _candidates(path, name, elements):
                return _element(at, kind, elements[at].get("content"))
            path = root = self._structures[root].get("base") or "" if path == root else ""
        return _OTHER


def _candidates(
    path: str, name: str, elements: Mapping[str, Any]
) -> Iterator[tuple[str, str | None]]:
    """The definitions that the name may have, with the type of each."""
    whole = f"{path}.{name}"
    if whole in elements:
        types = elements[whole].get("type") or [None]
        yield whole, types[0]
    for end in range(len(name) - 1, 0, -1):
        choice = f"{path}.{name[:end]}[x]"
        for kind in elements.get(choice, {}).get("type", ()):
            if name[end:] == kind[:1].upper() + kind[1:]:
                yield choice, kind


def _element(at: str, kind: str | None, shared: str | None) -> _Element:
    if shared:
        return _Element(shared.lstrip("#"))
    if kind in _READ:
        return _Element(read=True, narrative=kind == "xhtml")
    if kind in _INLINE:
        return _Element(at)
    if kind == "Resource":
        return _Element(resource=True)
    return _Element(kind) if kind and kind[0].isupper() else _OTHER
