"""Which language a refusal speaks: the best that the client asked for and that is declared.

https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fhir_server.problems import Problem

ENGLISH = "en"
# A header is longer than this by mistake or malice only.
LONGEST = 500
_RANGE = re.compile(
    r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]{1,40})?\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?"
)


class Language(NamedTuple):
    """A language and its texts, by v1 code."""

    tag: str
    texts: Mapping[str, str]

    def says(self, problem: Problem) -> str:
        """The text for the problem's code, else the English reason."""
        return self.texts.get(problem.v1_code, problem.diagnostics)


class Languages:
    """The declared languages; English needs no texts."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        self.default = Language(ENGLISH, {})
        self._known = {tag: Language(tag, said) for tag, said in texts.items()}

    def of(self, header: str | None) -> Language:
        """The language that Accept-Language prefers among those there are; `fa-AF` is `fa`."""
        if not header or len(header) > LONGEST:
            return self.default
        for _, tag in sorted(_ranges(header), key=lambda one: -one[0]):
            if tag in ("*", ENGLISH):
                return self.default
            if tag in self._known:
                return self._known[tag]
        return self.default


def _ranges(header: str) -> Iterator[tuple[float, str]]:
    for part in header.split(","):
        found = _RANGE.fullmatch(part)
        quality = float(found[2] or 1) if found else 0.0
        if found and quality:
            yield quality, found[1].lower()
