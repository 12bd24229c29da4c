"""Which resources lie in the compartment of a patient, a practitioner …, as a condition.

A resource is in the compartment whose owner any of the defined parameters points at.
https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.store.search.asking import Asking, NotSupported
from fhir_server.store.search.criteria import criterion
from fhir_server.store.search.node import Node, any_of

# Compartment → type → the parameters that put a resource of the type in it.
Compartments = Mapping[str, Mapping[str, tuple[str, ...]]]
ITSELF = "{def}"


def membership(asking: Asking, compartments: Compartments, owner: str, resource_type: str) -> Node:
    """The condition that a resource lies in the compartment of `owner` (`Patient/x`)."""
    kind, _, id = owner.partition("/")
    codes = compartments.get(kind, {}).get(resource_type)
    if codes is None:
        raise NotSupported(f"{resource_type} is in no {kind} compartment")
    nodes = [criterion(asking, resource_type, code, owner) for code in codes if code != ITSELF]
    if kind == resource_type:
        nodes.append(criterion(asking, resource_type, "_id", id))
    return any_of(nodes)
