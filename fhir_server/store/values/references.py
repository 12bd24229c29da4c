"""References as `Type/id` (on this server) or as the URL they are.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from functools import lru_cache

from fhir_server.fhir.reference import parse

_SHORT = 128


def targets(element: object, base: str | None = None) -> tuple[str, ...]:
    """What a Reference, canonical, uri or plain reference text points at."""
    text = element.get("reference") if isinstance(element, dict) else element
    if not isinstance(text, str):
        return ()
    return _remembered(text, base) if len(text) <= _SHORT else _targets(text, base)


def _targets(text: str, base: str | None) -> tuple[str, ...]:
    reference = parse(text, base)
    if reference.local:
        return (reference.local,)
    if reference.url is None:
        return ()
    unversioned, bar, _ = reference.url.partition("|")
    return (reference.url, unversioned) if bar else (reference.url,)


# The same people, patients and threads are referred to again and again; a long URL must not stay.
_remembered = lru_cache(maxsize=32_768)(_targets)


def identifier(element: object) -> object:
    """The logical identifier of a Reference, or None."""
    return element.get("identifier") if isinstance(element, dict) else None
