"""Derived fields: values that are not in the resource but found by a sub-search of its page.

`count`, `exists` and `first` are one sub-search each; `any` tries several in order. Fields that ask
the same share one sub-search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

import orjson

from fhir_server.interactions import Derived
from fhir_server.mapping.codec import MISSING
from fhir_server.mapping.faults import Faults
from fhir_server.mapping.field import Field
from fhir_server.mapping.model import FieldDeclaration
from fhir_server.mapping.searches import SearchNames

Kind = Literal["count", "first", "exists"]

INTEGER = {"type": "integer", "minimum": 0}


@dataclass(frozen=True, slots=True)
class DerivedField:
    """`read` makes the v1 value of the answers to `asks`, in their order."""

    name: str
    asks: tuple[Derived, ...]
    schema: Mapping[str, Any]
    read: Callable[[Sequence[Any]], Any]


@dataclass(frozen=True, slots=True)
class DerivedCompiler:
    """`others` are the fields of the other files, for `read: message.body`."""

    searches: SearchNames
    others: Mapping[str, Mapping[str, Field]]

    def fields(
        self, declared: Mapping[str, FieldDeclaration], faults: Faults
    ) -> dict[str, DerivedField]:
        """Every derived field of one file."""
        lines = ((n, line, faults.at(n)) for n, line in declared.items() if line.derived)
        compiled = (self._field(*line) for line in lines)
        return {field.name: field for field in compiled if field}

    def _field(self, name: str, line: FieldDeclaration, faults: Faults) -> DerivedField | None:
        if line.count:
            asks = self._asks("count", [line.count], faults.at("count"))
            return DerivedField(name, asks, INTEGER, lambda found: found[0] or 0)
        if line.exists:
            asks = self._asks("exists", [line.exists], faults.at("exists"))
            return DerivedField(name, asks, {"type": "boolean"}, lambda found: bool(found[0]))
        if line.any:
            return self._any(name, line.any, line.otherwise, faults.at("any"))
        return self._first(name, line, faults)

    def _any(
        self, name: str, cases: Mapping[str, str], otherwise: str | None, faults: Faults
    ) -> DerivedField:
        words = tuple(cases)
        asks = self._asks("exists", cases.values(), faults)

        def read(found: Sequence[Any]) -> Any:
            hits = (word for word, hit in zip(words, found, strict=True) if hit)
            return next(hits, MISSING if otherwise is None else otherwise)

        every = [*words, *([] if otherwise is None else [otherwise])]
        return DerivedField(name, asks, {"type": "string", "enum": every}, read)

    def _first(self, name: str, line: FieldDeclaration, faults: Faults) -> DerivedField | None:
        asks = self._asks("first", [line.first or ""], faults.at("first"))
        file, _, wanted = (line.read or "").partition(".")
        fields = self.others.get(file)
        if fields is None:
            faults.at("read").unknown("file", file, self.others)
            return None
        field = fields.get(wanted)
        if field is None:
            faults.at("read").unknown(f"field of {file}:", wanted, fields)
            return None
        longest = line.max

        def read(found: Sequence[Any]) -> Any:
            value = MISSING if found[0] is None else field.get(orjson.loads(found[0]))
            return value[:longest] if longest and isinstance(value, str) else value

        return DerivedField(name, asks, field.schema, read)

    def _asks(self, kind: Kind, searches: Iterable[str], faults: Faults) -> tuple[Derived, ...]:
        found = []
        for search in searches:
            resource, _, query = search.partition("?")
            params = tuple(parse_qsl(query, keep_blank_values=True))
            self.searches.check(resource, params, faults)
            found.append(Derived(f"{kind} {search}", kind, resource, params))
        return tuple(found)
