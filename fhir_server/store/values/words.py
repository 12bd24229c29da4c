"""The words of a text, and of what is asked of it, in the form PostgreSQL stores and compares.

Words are cut and folded here and not by a PostgreSQL parser, so that they are the same whatever
locale the database has: letters and digits of any script, without case and accents.
https://www.postgresql.org/docs/current/datatype-textsearch.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape

from fhir_server.store.values.strings import normal

MOST_WORDS = 10_000
# PostgreSQL holds a megabyte of words at most; a letter takes up to four bytes.
MOST_LETTERS = 200_000
# Of a longer word the beginning counts.
LONGEST = 64
_WORD = re.compile(r"[^\W_]+")
_TAG = re.compile(r"<[^>]*>?")


def words(text: str) -> list[str]:
    """The folded words of a text in order."""
    found = _WORD.findall(text.lower() if text.isascii() else normal(text))
    longest = len(max(found, key=len)) if len(text) > LONGEST and found else 0
    return [word[:LONGEST] for word in found] if longest > LONGEST else found


def plain(narrative: str) -> str:
    """The text of XHTML."""
    return unescape(_TAG.sub(" ", narrative))


def vector(texts: Iterable[str]) -> str | None:
    """A tsvector of all words with their places; no phrase goes from one text to the next. None
    where there are none. The first 10,000 words count, fewer in texts without end."""
    placed: list[str] = []
    place, count, letters = 1, MOST_WORDS, MOST_LETTERS
    for text in texts:
        found = words(text)[:count]
        size = sum(map(len, found))
        if size > letters:
            found = found[: letters // LONGEST]
        # PostgreSQL joins what is written twice.
        placed += [f"'{word}':{at}" for at, word in enumerate(found, place)]
        place, count, letters = place + len(found) + 1, count - len(found), letters - size
        if count <= 0 or letters <= 0:
            break
    return " ".join(placed) or None
