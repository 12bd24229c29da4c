"""Whether a search parameter can have more than one value, from the structure's cardinalities."""

from __future__ import annotations

import re

from fhir_server.definitions.facts import Facts

_PLAIN = re.compile(r"(?P<path>[A-Z]\w*(?:\.\w+)+)(?:\.where\(resolve\(\) is \w+\))?")


def is_single(facts: Facts, expression: str) -> bool:
    """True when `expression` is a plain path whose every element has max 1; False in doubt."""
    plain = _PLAIN.fullmatch(expression)
    if plain is None:
        return False
    root, *steps = plain["path"].split(".")
    if root not in facts.structures:
        return False
    elements = facts.structures[root]["elements"]
    path = root
    for step in steps:
        path += f".{step}"
        element = elements.get(path) or elements.get(path + "[x]")
        if element is None or element.get("max", "1") != "1":
            return False
    return True
