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


def named_type(element: object, base: str | None = None) -> str | None:
    """The type that a Reference says it points at, by its text or by `type`; None where it does
    not tell."""
    if not isinstance(element, dict):
        return None
    local = next((t for t in targets(element, base) if "://" not in t and "/" in t), None)
    told = local.partition("/")[0] if local else element.get("type")
    return told if isinstance(told, str) else None


def display(element: object) -> str | None:
    """The words of a Reference, for `:text`."""
    found = element.get("display") if isinstance(element, dict) else None
    return found if isinstance(found, str) else None
