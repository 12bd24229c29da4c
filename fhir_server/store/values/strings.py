"""Text folded so that case, accents and spacing do not matter.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

# The parts of HumanName and Address that a string search looks at.
_PARTS = (
    "text", "family", "given", "prefix", "suffix",
    "line", "city", "district", "state", "postalCode", "country",
)  # fmt: skip
# Keeps an index entry well below what a B-tree page takes, at four bytes a character.
LENGTH = 400


def texts(element: object) -> Iterator[str]:
    """The strings in a text, HumanName or Address."""
    if isinstance(element, str):
        yield element
    elif isinstance(element, dict):
        for part in _PARTS:
            value = element.get(part)
            yield from value if isinstance(value, list) else texts(value)


# Arabic keyboards write letters and digits of Persian and Pashto with characters of their own.
_SAME = str.maketrans(
    "\u064a\u0649\u0643\u0629" + "٠١٢٣٤٥٦٧٨٩" + "۰۱۲۳۴۵۶۷۸۹",
    "\u06cc\u06cc\u06a9\u0647" + "0123456789" * 2,
)


def normal(text: str) -> str:
    """Case-folded, without accents, white space as single spaces; letters and digits that the
    keyboards of one script write differently are the same."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(c for c in unicodedata.normalize("NFKD", folded) if not _is_accent(c))
    return " ".join(bare.translate(_SAME).split())


def _is_accent(character: str) -> bool:
    return unicodedata.combining(character) != 0


def after_prefix(prefix: str) -> str | None:
    """The least text above all that start with `prefix`, in byte order; None where none is."""
    for end in range(len(prefix), 0, -1):
        following = ord(prefix[end - 1]) + 1
        if following == 0xD800:  # surrogates are not characters
            following = 0xE000
        if following <= 0x10FFFF:
            return prefix[: end - 1] + chr(following)
    return None
