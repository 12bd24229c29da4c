"""The text of a parameter's value taken apart: OR lists, escapes, prefixes.

https://hl7.org/fhir/R4/search.html#escaping, https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

import re
from typing import Final

from fhir_server.problems import Problem

PREFIXES: Final = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
MOST_VALUES: Final = 1000
_ESCAPED = re.compile(r"\\([\\,$|])")


def alternatives(text: str) -> list[str]:
    """The parts between unescaped commas, still escaped; empty ones are left out."""
    parts = [part for part in split(text, ",") if part]
    if len(parts) > MOST_VALUES:
        raise Problem(400, "too-costly", f"more than {MOST_VALUES} values for one parameter")
    return parts


def split(text: str, separator: str) -> list[str]:
    """`text` cut at every unescaped `separator`; the parts keep their escapes."""
    if "\\" not in text:
        return text.split(separator)
    parts, escaped = [""], False
    for character in text:
        if character == separator and not escaped:
            parts.append("")
        else:
            parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def unescaped(text: str) -> str:
    r"""`\,` `\$` `\|` `\\` as the characters they stand for."""
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def prefixed(text: str) -> tuple[str, str]:
    """The comparison prefix (`eq` where there is none) and the rest."""
    prefix = text[:2]
    return (prefix, text[2:]) if prefix in PREFIXES else ("eq", text)


def checked(name: str, value: str) -> None:
    """Refuses text that no database text can hold."""
    if "\0" in name or "\0" in value:
        raise Problem(400, "invalid", "a parameter contains the NUL character")
    try:
        (name + value).encode()
    except UnicodeEncodeError:
        raise Problem(400, "invalid", "a parameter is not valid Unicode") from None
