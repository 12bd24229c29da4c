"""Mistakes in declared profiles: a path that the type does not have, an unreadable invariant.

A rule on an element that does not exist would never be broken, so nobody would miss it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from fhir_server.fhir.path import PathError
from fhir_server.fhir.path import compile as compile_path
from fhir_server.validation.primitives import TESTS
from fhir_server.validation.run import Json
from fhir_server.validation.structure import Compiler, Node


def mistakes(compiler: Compiler, profiles: Iterable[Json]) -> Iterator[str]:
    """One line for each, with the profile's url and the element's path."""
    for profile in profiles:
        for element in profile.get("differential", {}).get("element", ()):
            for wrong in _of_element(compiler, profile["type"], element):
                yield f"{profile['url']}: {element['path']}: {wrong}"


def _of_element(compiler: Compiler, type_name: str, element: Json) -> Iterator[str]:
    first, *names = str(element["path"]).split(".")
    if first != type_name:
        yield f"the profile is one of {type_name}"
        return
    yield from _of_path(compiler.node(type_name), names)
    for constraint in element.get("constraint", ()):
        try:
            compile_path(constraint.get("expression", "true"))
        except PathError as error:
            yield f"{constraint['key']}: {error}"


def _of_path(node: Node | None, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if node is None:
            return
        if name not in node.elements:
            near = get_close_matches(name, node.elements, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            yield f"{node.path} has no element {name}{hint}"
            return
        node = _below(node, name)


def _below(node: Node, name: str) -> Node | None:
    """The node of an element; None where several types, or any resource, may stand."""
    path, facts = node.elements[name]
    if "content" in facts:
        return node.compiler.node(facts["content"])
    types = facts["type"]
    if len(types) > 1 or types[0] == "Resource":
        return None
    if types[0] in TESTS:
        return node.compiler.node("Element")
    return node.compiler.node(node.inner(path, types[0]))
