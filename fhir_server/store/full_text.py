"""`_text` and `_content`: the words of a resource in a column of their own.

Only a type that declares one of them has its column.
https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from fhir_server.definitions.model import ServedType
from fhir_server.store.tables import WORDS
from fhir_server.store.values.content import Content, Structures
from fhir_server.store.values.words import plain, vector

Read = Callable[[Content, Mapping[str, Any]], Iterable[str]]


def _narrative(_content: Content, resource: Mapping[str, Any]) -> Iterable[str]:
    div = resource.get("text", {}).get("div")
    return (plain(div),) if isinstance(div, str) else ()


_READ: Final[Mapping[str, Read]] = {"_text": _narrative, "_content": Content.texts}


class FullText:
    """The columns of words of one type; `empty` is column name → None."""

    def __init__(self, served: ServedType, structures: Structures) -> None:
        self._content = Content(structures)
        self._columns = [(WORDS[code], _READ[code]) for code in WORDS if code in served.search]
        self.empty: dict[str, str | None] = dict.fromkeys(name for name, _ in self._columns)

    def columns(self, resource: Mapping[str, Any]) -> dict[str, str | None]:
        """Column → tsvector, None where there are no words."""
        return {name: vector(read(self._content, resource)) for name, read in self._columns}
