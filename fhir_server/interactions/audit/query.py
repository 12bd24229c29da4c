"""A search's query as the audit trail keeps it: without the words that were searched for.

Ids, codes, dates and numbers say what was asked. Texts may hold what is erased later, and nothing
may live on in the trail; so of a text parameter only the name stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from fhir_server.definitions.model import SearchParameter, ServedType

_PLAIN: Final = frozenset({"reference", "date", "number", "quantity", "uri"})
# Result parameters say nothing of anybody; a cursor may hold sort values.
_RESULT: Final = frozenset(
    {
        *("_count", "_sort", "_include", "_revinclude", "_total", "_summary", "_elements", "_type"),
        *("_id", "_lastUpdated", "_since", "_at"),
    }
)
_MODIFIERS: Final = frozenset({"not", "missing", "above", "below", "in", "not-in", "iterate"})
_TEXTUAL: Final = frozenset({"exact", "contains", "text", "identifier", "of-type"})
_NAME: Final = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
LONGEST: Final = 2_000


class Queries:
    """Writes queries down; `types` declare which parameters hold texts."""

    def __init__(self, types: Mapping[str, ServedType]) -> None:
        worded: set[str] = set()
        known: set[str] = set()
        for served in types.values():
            for parameter in served.search.values():
                known.add(parameter.code)
                if not _plain(parameter):
                    worded.add(parameter.code)
        self._plain = frozenset(known - worded)
        self._types = frozenset(types)
        self._words = known | self._types | _MODIFIERS | _TEXTUAL
        self._kept = lru_cache(maxsize=4_096)(self._keeps)

    def of(self, path: str, params: Sequence[tuple[str, str]]) -> str:
        """`Communication?patient=Patient/x&_sort=-sent`; a value that is left out as `name=`."""
        parts = [
            f"{name}={quote(value, safe=_SAFE) if kept else ''}"
            for name, value in params
            if (kept := self._kept(name)) is not None
        ]
        return f"{path}?{'&'.join(parts)}"[:LONGEST] if parts else path

    def _keeps(self, name: str) -> bool | None:
        """Whether the values under a name stay; None where the name itself may not."""
        if not _NAME.fullmatch(name) or not all(map(self._known, re.split("[.:]", name))):
            return None
        parts = name.rpartition(".")[2].split(":")
        while len(parts) > 3 and parts[0] == "_has":
            parts = parts[3:]
        code, *modifiers = parts
        usual = all(one in _MODIFIERS or one in self._types for one in modifiers)
        return usual and (code in _RESULT or code in self._plain)

    def _known(self, word: str) -> bool:
        """What nobody declared may be what somebody is called."""
        return word in self._words or word.startswith("_")


_SAFE: Final = ":/|,$."


def _plain(parameter: SearchParameter) -> bool:
    """Whether its values are ids, codes, dates or numbers: a phone number is a token too."""
    if parameter.type == "token":
        return not re.search(r"telecom|identifier|name|address", parameter.expression)
    return parameter.type in _PLAIN
