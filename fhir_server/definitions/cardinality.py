"""What the structures say of a search parameter: whether it can have more than one value, and
whether its values are codes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fhir_server.definitions.facts import Facts, Json

_PLAIN = re.compile(r"(?P<path>[A-Z]\w*(?:\.\w+)+)(?:\.where\(resolve\(\) is \w+\))?")


def is_single(facts: Facts, expression: str) -> bool:
    """True when `expression` is a plain path whose every element has max 1; False in doubt."""
    elements = list(_along(facts, expression))
    return bool(elements) and all(e is not None and e.get("max", "1") == "1" for e in elements)


def is_code(facts: Facts, expression: str) -> bool:
    """True when `expression` is a plain path to an element of type code; False in doubt."""
    *_, last = [None, *_along(facts, expression)]
    return last is not None and last.get("type") == ["code"]


def _along(facts: Facts, expression: str) -> Iterator[Json | None]:
    """The element at each step of a plain path, None where the structure has none."""
    plain = _PLAIN.fullmatch(expression)
    root, *steps = plain["path"].split(".") if plain else ("",)
    elements = facts.structures[root]["elements"] if root in facts.structures else {}
    path = root
    for step in steps:
        path += f".{step}"
        yield elements.get(path) or elements.get(path + "[x]")
