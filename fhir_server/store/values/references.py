"""References as `Type/id` (on this server) or as the URL they are.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.fhir.reference import parse


def targets(element: object, base: str | None = None) -> Iterator[str]:
    """What a Reference, canonical, uri or plain reference text points at."""
    text = element.get("reference") if isinstance(element, dict) else element
    if not isinstance(text, str):
        return
    reference = parse(text, base)
    if reference.local:
        yield reference.local
    elif reference.url is not None:
        yield reference.url
        unversioned, bar, _ = reference.url.partition("|")
        if bar:
            yield unversioned


def identifier(element: object) -> object:
    """The logical identifier of a Reference, or None."""
    return element.get("identifier") if isinstance(element, dict) else None
