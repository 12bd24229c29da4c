"""The objects in JSON that may not be what it should."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.validation.run import Json


def objects(owner: Json, name: str) -> Iterator[tuple[int, Json]]:
    """The objects in a list property, each with its index."""
    listed = owner.get(name)
    for index, one in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(one, dict):
            yield index, one
