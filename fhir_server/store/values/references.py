"""References as `Type/id` (on this server) or as the URL they are.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from functools import lru_cache

from fhir_server.fhir.reference import parse


def targets(element: object, base: str | None = None) -> tuple[str, ...]:
    """What a Reference, canonical, uri or plain reference text points at."""
    text = element.get("reference") if isinstance(element, dict) else element
    return _targets(text, base) if isinstance(text, str) else ()


# The same few people, patients and threads are referred to again and again.
@lru_cache(maxsize=65_536)
def _targets(text: str, base: str | None) -> tuple[str, ...]:
    reference = parse(text, base)
    if reference.local:
        return (reference.local,)
    if reference.url is None:
        return ()
    unversioned, bar, _ = reference.url.partition("|")
    return (reference.url, unversioned) if bar else (reference.url,)


def identifier(element: object) -> object:
    """The logical identifier of a Reference, or None."""
    return element.get("identifier") if isinstance(element, dict) else None
