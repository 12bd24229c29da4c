"""JSON Pointer: the names and numbers that lead to a value. https://www.rfc-editor.org/rfc/rfc6901"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.fhir.patch.steps import DEEPEST, Refused

Pointer = tuple[str, ...]
_LOOSE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


def pointer(text: object, name: str) -> Pointer:
    """`/name/0/family` taken apart."""
    if not isinstance(text, str):
        raise Refused(f"{name} must be a JSON Pointer", "invalid")
    if not text:
        return ()
    if text[0] != "/" or _LOOSE.search(text):
        raise Refused(f"{name} is not a JSON Pointer", "invalid")
    tokens = text[1:].split("/")
    if len(tokens) > DEEPEST:
        raise Refused(f"{name} is longer than {DEEPEST} steps", "invalid")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


def value_at(document: Any, place: Pointer) -> Any:
    """What is there."""
    for token in place:
        if isinstance(document, dict):
            if token not in document:
                raise missing()
            document = document[token]
        else:
            document = _listed(document)[index(document, token)]
    return document


def index(items: Any, token: str, *, after: bool = False) -> int:
    """The place of an item, or with `after` the one behind the last, too."""
    if not _INDEX.fullmatch(token) or int(token) >= len(_listed(items)) + after:
        raise missing()
    return int(token)


def missing() -> Refused:
    return Refused("the resource has nothing there", "not-found")


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise missing()
    return value
