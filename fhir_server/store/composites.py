"""Composite parameters: what their parts have together, in one element.

Where every part asks for equality, each combination is one key among the resource's keys. Where
one is compared, each part has rows of its own in the value table, and `part` tells which belong
together.
https://hl7.org/fhir/R4/search.html#combining
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice, product
from typing import Any, Final

from fhir_server.definitions.model import Component, SearchParameter
from fhir_server.fhir.path import Path, compile
from fhir_server.store.index_row import IndexRow, ValueRow
from fhir_server.store.keys import combined, name_part, value_key
from fhir_server.store.puts import Put, amount_rows, date_rows, string_rows
from fhir_server.store.values.references import targets
from fhir_server.store.values.tokens import tokens

# Of one element; two long lists in it would make millions.
MOST_COMBINATIONS = 1_000
EQUALITY: Final = frozenset({"token", "reference", "uri"})
_ROWS: Final[Mapping[str, Callable[[str, Any], Iterator[ValueRow]]]] = {
    "string": string_rows,
    "date": date_rows,
    "number": amount_rows,
    "quantity": amount_rows,
}


def by_keys(parameter: SearchParameter) -> bool:
    """Whether combinations of the composite are keys."""
    return all(component.type in EQUALITY for component in parameter.components)


def key_text(key: int) -> str:
    """How the value table holds a key."""
    return f"{key & (1 << 64) - 1:016x}"


class Composite(Put):
    """Puts the combinations of one composite into a row."""

    __slots__ = ("_keyed", "_parts")

    def __init__(self, parameter: SearchParameter, *, hot: bool, base: str | None) -> None:
        super().__init__(parameter, hot=hot, base=base)
        self._keyed = by_keys(parameter)
        self._parts: list[tuple[str, Component, Path]] = [
            (name_part(parameter.code, n), component, compile(component.expression))
            for n, component in enumerate(parameter.components)
        ]

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        put = self._put_keys if self._keyed else self._put_rows
        found = [put(tenant, row, n, element) for n, element in enumerate(elements)]
        return any(found)

    def _put_keys(self, tenant: str, row: IndexRow, _number: int, element: Any) -> bool:
        forms = [
            dict.fromkeys(f for one in path.values(element) for f in self._forms(component, one))
            for _, component, path in self._parts
        ]
        found = islice(product(*forms), MOST_COMBINATIONS)
        keys = [value_key(tenant, self.code, combined(forms)) for forms in found]
        row.keys += keys
        return bool(keys)

    def _put_rows(self, tenant: str, row: IndexRow, number: int, element: Any) -> bool:
        parts = [
            [r for one in path.values(element) for r in self._rows(tenant, name, component, one)]
            for name, component, path in self._parts
        ]
        if not all(parts):
            return False
        rows = dict.fromkeys(r for part in parts for r in part)
        row.values += [_of_part(value, number) for value in rows]
        return True

    def _rows(
        self, tenant: str, name: str, component: Component, element: Any
    ) -> Iterator[ValueRow]:
        rows = _ROWS.get(component.type)
        if rows is not None:
            yield from rows(name, element)
            return
        for form in self._forms(component, element):
            yield ValueRow(name, norm=key_text(value_key(tenant, name, form)))

    def _forms(self, component: Component, element: Any) -> Iterator[str]:
        """What may be asked of an equality part."""
        if component.type == "reference":
            yield from targets(element, self.base)
        elif component.type == "token":
            yield from tokens(element)
        elif isinstance(element, str):
            yield element


def _of_part(row: ValueRow, number: int) -> ValueRow:
    return ValueRow(
        row.param, row.norm, row.exact, row.low, row.high, row.since, row.until, row.unit, number
    )
