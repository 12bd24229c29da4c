"""JSON Merge Patch: a part of the resource as it is to be, null for what is to go.

FHIR does not ask for it; fhirpy's `patch` sends nothing else.
https://www.rfc-editor.org/rfc/rfc7396
"""

from __future__ import annotations

from typing import Any

from fhir_server.fhir.patch.steps import LARGEST, Budget, Change, Step, changing, copied


def merge_patch(patch: dict[str, Any], *, largest: int = LARGEST) -> Change:
    """The patch as a function. A list takes the place of a list."""
    step = Step("0 (merge)", "$this", lambda document, budget: _merged(document, patch, budget))
    return changing([step], largest)


def _merged(target: Any, patch: Any, budget: Budget) -> Any:
    if not isinstance(patch, dict):
        return copied(patch, budget)
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value, budget)
    return found
