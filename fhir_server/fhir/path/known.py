"""Invariants of R4 written out: they run on every element, or need types that JSON lacks.

https://hl7.org/fhir/R4/domainresource.html#invs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.fhir.path.members import Values

_DOM_3 = (
    "contained.where((('#'+id in (%resource.descendants().reference | "
    "%resource.descendants().as(canonical) | %resource.descendants().as(uri) | "
    "%resource.descendants().as(url))) or descendants().where(reference = '#').exists() or "
    "descendants().where(as(canonical) = '#').exists() or "
    "descendants().where(as(canonical) = '#').exists()).not()).trace('unmatched', id).empty()"
)


_ELE_1 = "hasValue() or (children().count() > id.count())"
_NOTHING: tuple[Any, ...] = (None, [])
_NOT_CONTENT = frozenset({"id", "_id", "resourceType"})


def every_element_says_something(this: Any, _resource: Any, _root: Any) -> list[Any]:
    """ele-1: a value, or a child that is more than the id."""
    if not isinstance(this, dict):
        return [True]
    return [any(key not in _NOT_CONTENT and this[key] not in _NOTHING for key in this)]


def every_contained_is_referenced(this: Any, resource: Any, _root: Any) -> list[Any]:
    """dom-3: each contained resource is pointed at, or itself points at its container."""
    contained = this.get("contained") if isinstance(this, dict) else None
    if not contained:
        return [True]
    pointers = local_pointers(resource)
    return [all(_is_bound(each, pointers) for each in contained)]


def local_pointers(tree: Any) -> set[str]:
    """Every text in `tree` that points inside its resource: `#id`, or `#` alone."""
    found, waiting = set[str](), [tree]
    for node in waiting:
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
        elif isinstance(node, str) and node[:1] == "#":
            found.add(node)
    return found


def _is_bound(contained: Any, pointers: set[str]) -> bool:
    id_ = contained.get("id") if isinstance(contained, dict) else None
    return f"#{id_}" in pointers or "#" in local_pointers(contained)


KNOWN: Mapping[str, Values] = {
    _DOM_3: every_contained_is_referenced,
    _ELE_1: every_element_says_something,
}
