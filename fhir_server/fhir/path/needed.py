"""What a resource must have for a path to yield anything, so that most need not be walked.

Said only of plain paths: steps, and a `where()` at their end. Others may yield something of
nothing, as `exists()` does.
"""

from __future__ import annotations

import re

from fhir_server.fhir.path.choices import KEYS

_PLAIN = re.compile(
    r"[A-Z]\w*\.(?P<first>[a-z]\w*)(?:\.[a-z]\w*)*(?:\.where\((?:[^()]|\([^()]*\))*\))?"
)


def needed(expression: str) -> frozenset[str] | None:
    """JSON keys, of which a resource without any yields nothing; None where that is not known."""
    found = _PLAIN.fullmatch(expression)
    if found is None:
        return None
    names = {found["first"], *KEYS.get(found["first"], ())}
    return frozenset(names | {f"_{name}" for name in names})
