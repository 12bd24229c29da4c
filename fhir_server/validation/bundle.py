"""What R4 says of a Bundle as a whole, in words rather than constraints.

https://hl7.org/fhir/R4/bundle.html#bundle-unique
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.run import Json, Run


def objects(owner: Json, name: str) -> Iterator[tuple[int, Json]]:
    """The objects in a list property, each with its index."""
    listed = owner.get(name)
    for index, one in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(one, dict):
            yield index, one


def check(bundle: Json, at: Place, run: Run) -> None:
    _check_links(bundle, at, run)


def _check_links(bundle: Json, at: Place, run: Run) -> None:
    seen: set[Any] = set()
    for index, link in objects(bundle, "link"):
        relation = link.get("relation")
        if isinstance(relation, str):
            if relation in seen:
                text = f"The link relationship type '{relation[:40]}' can only occur once"
                run.error("invalid", text, (at, "link", index))
            seen.add(relation)


def members(container: Json) -> frozenset[str]:
    """`Type/id` and fullUrl of everything in a Bundle or in Parameters."""
    found: set[str] = set()
    _gather(container, found)
    return frozenset(found)


def _gather(container: Json, found: set[str]) -> None:
    for name in ("entry", "parameter", "part"):
        for _, one in objects(container, name):
            if isinstance(one.get("fullUrl"), str):
                found.add(one["fullUrl"])
            resource = one.get("resource")
            if isinstance(resource, dict):
                found.add(f"{resource.get('resourceType')}/{resource.get('id')}")
                _gather(resource, found)
            _gather(one, found)
