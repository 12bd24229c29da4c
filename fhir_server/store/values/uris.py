"""URLs as places in a hierarchy: what lies above one.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

MOST_LEVELS = 32
_SHORT = 128
_URL = re.compile(r"(?P<top>[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]+)(?P<path>/.*)?", re.DOTALL)


def above(uri: str) -> tuple[str, ...]:
    """A URL itself, without a slash at its end, and each that is a path-wise prefix of it, up to
    its host, which comes first; nothing for a `urn:`. Steps further down than 32 are left out."""
    return _remembered(uri) if len(uri) <= _SHORT else tuple(_above(uri))


# The same profiles are named again and again; a long URL must not stay in memory.
@lru_cache(maxsize=4_096)
def _remembered(uri: str) -> tuple[str, ...]:
    return tuple(_above(uri))


def _above(uri: str) -> Iterator[str]:
    found = _URL.fullmatch(uri)
    if found is None:
        return
    place = found["top"]
    yield place
    steps = (found["path"] or "").rstrip("/").split("/")[1:]
    for step in steps[: MOST_LEVELS - 1]:
        place += "/" + step
        yield place


def versions_above(canonical: str) -> Iterator[str]:
    """`url|1.2.3` itself, `url|1.2` and `url|1`; nothing where it has no version."""
    url, bar, version = canonical.partition("|")
    if not bar:
        return
    steps = version.split(".")[:MOST_LEVELS]
    for end in range(1, len(steps) + 1):
        yield f"{url}|{'.'.join(steps[:end])}"
