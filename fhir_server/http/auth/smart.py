"""Reading SMART on FHIR scopes, v1 (`user/Communication.read`) and v2 (`user/Communication.rs`).

A scope that is not exactly in either grammar grants nothing; neither do `openid`, `fhirUser`,
`profile`, `launch/patient`, `offline_access` and their like.
https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl

Criterion = tuple[str, str]
"""One FHIR search parameter and its value, such as `("patient", "Patient/zahra")`."""

Level = Literal["patient", "user", "system"]

_SCOPE = re.compile(
    r"(?P<level>patient|user|system)/(?P<type>\*|[A-Z][A-Za-z]{1,63})"
    r"\.(?:(?P<v1>read|write|\*)|(?P<v2>(?=[cruds])c?r?u?d?s?)(?:\?(?P<query>.{1,1024}))?)",
    re.ASCII,
)
_V1 = {"read": "rs", "write": "cud", "*": "cruds"}
# Parameters that filter; the other `_…` ones shape the answer or reach other resources.
_FILTERS = frozenset({"_id", "_lastUpdated", "_tag", "_profile", "_security"})
_PARAMETER = re.compile(r"(_?[A-Za-z][A-Za-z0-9-]{0,63})(:[A-Za-z-]{1,32})?", re.ASCII)
_MAX_CRITERIA = 8


class SmartScope(NamedTuple):
    """`type` may be `*`; `letters` is a part of cruds; every one of `criteria` must hold."""

    level: Level
    type: str
    letters: frozenset[str]
    criteria: tuple[Criterion, ...]


def parse(scope: str) -> SmartScope | None:
    """None for any scope that is not a SMART one this server can hold to."""
    parts = _SCOPE.fullmatch(scope)
    if parts is None:
        return None
    criteria = _criteria(parts["query"])
    if criteria is None:
        return None
    letters = _V1[parts["v1"]] if parts["v1"] else parts["v2"]
    level: Level = parts["level"]  # type: ignore[assignment]  # the pattern admits no other
    return SmartScope(level, parts["type"], frozenset(letters), criteria)


def _criteria(query: str | None) -> tuple[Criterion, ...] | None:
    if query is None:
        return ()
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_CRITERIA,
        )
    except ValueError:
        return None
    return tuple(pairs) if pairs and all(map(_is_filter, pairs)) else None


def _is_filter(criterion: Criterion) -> bool:
    name, value = criterion
    parts = _PARAMETER.fullmatch(name)
    known = parts is not None and (not name.startswith("_") or parts[1] in _FILTERS)
    return known and bool(value.strip())
