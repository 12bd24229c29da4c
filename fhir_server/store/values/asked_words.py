"""What a caller asks of a text: words, "phrases", `or`, and `-` before what must not be there.

https://www.postgresql.org/docs/current/textsearch-controls.html#TEXTSEARCH-PARSING-QUERIES
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fhir_server.store.values.words import words

MOST_WORDS = 64
_TERM = re.compile(r'(?P<no>-)?(?:"(?P<phrase>[^"]*)"?|(?P<plain>[^\s"]+))')


class WordsError(ValueError):
    """The text asks for nothing, or for too much; the message says which."""


def tsquery(text: str) -> str:
    """`text` as a tsquery; WordsError. Each side of an `or` needs a word that is to be there: what
    lacks a word cannot be found by an index."""
    sides: list[list[str]] = [[]]
    some = [False]
    for unwanted, term, is_or in _terms(text):
        if is_or:
            sides.append([])
            some.append(False)
            continue
        sides[-1].append(f"!({term})" if unwanted else f"({term})")
        some[-1] |= not unwanted
    if not all(some):
        raise WordsError("needs a word that is to be there, on each side of an or")
    return " | ".join("(" + " & ".join(side) + ")" for side in sides)


def _terms(text: str) -> Iterator[tuple[bool, str, bool]]:
    """(unwanted, tsquery of the term, whether it is the word `or`)."""
    count = 0
    for match in _TERM.finditer(text):
        phrase = match["phrase"] if match["plain"] is None else match["plain"]
        if match["plain"] and match["plain"].lower() == "or" and not match["no"]:
            yield False, "", True
            continue
        found = list(words(phrase))
        count += len(found)
        if count > MOST_WORDS:
            raise WordsError(f"more than {MOST_WORDS} words")
        if found:
            yield bool(match["no"]), " <-> ".join(f"'{word}'" for word in found), False
