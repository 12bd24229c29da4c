"""Where an operation may be called and what it takes, as its OperationDefinition says.

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.definitions.model import Definitions

# $validate, the one operation that is HL7's own file: its body is what it checks.
_OTHERS: Final[Mapping[str, Any]] = {"type": True, "instance": True, "affectsState": True}
_SCOPES: Final = {"$": "type", "id/$": "instance"}


def methods(definitions: Definitions, resource_type: str, shape: str, name: str) -> list[str]:
    """The methods of a path that ends in an operation; none where there is no such operation.
    What changes nothing can be asked by GET."""
    found = _definition(definitions, resource_type, name)
    if found is None or not found.get(_SCOPES[shape]):
        return []
    return ["POST"] if found.get("affectsState", True) else ["GET", "HEAD", "POST"]


def takes(definitions: Definitions, resource_type: str, name: str) -> frozenset[str]:
    """The names of its in parameters."""
    found = _definition(definitions, resource_type, name) or {}
    listed = found.get("parameter", ())
    return frozenset(p["name"] for p in listed if p["use"] == "in")


def _definition(
    definitions: Definitions, resource_type: str, name: str
) -> Mapping[str, Any] | None:
    url = definitions.types[resource_type].operations.get(name)
    return None if url is None else definitions.operations.get(url, _OTHERS)
