"""How each kind of search parameter puts its values into a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fhir_server.definitions.model import SearchParameter
from fhir_server.store.index_row import IndexRow, SortValue, ValueRow
from fhir_server.store.keys import (
    absent,
    hot_reference,
    name_below,
    name_identifier,
    name_text,
    present,
    reference_key,
    value_key,
)
from fhir_server.store.tables import column_name
from fhir_server.store.values.dates import intervals
from fhir_server.store.values.numbers import Amount, amounts
from fhir_server.store.values.references import display, identifier, named_type, targets
from fhir_server.store.values.strings import LENGTH, normal, texts
from fhir_server.store.values.tokens import codings, displays, tokens, typed_identifiers
from fhir_server.store.values.uris import above, versions_above

SORT_LENGTH = 100


def put_for(parameter: SearchParameter) -> type[Put]:
    """What knows how to put a parameter that is no composite."""
    # An alias has no values of its own: only `:missing` needs to know that it is there.
    return Put if parameter.alias_of else _PUTS.get(parameter.type, Put)


class Put:
    """Puts the values of one parameter into a row; `put` is false where there are none."""

    __slots__ = (
        "absent",
        "base",
        "code",
        "column",
        "greatest",
        "hot",
        "least",
        "parameter",
        "present",
    )

    def __init__(self, parameter: SearchParameter, *, hot: bool, base: str | None) -> None:
        self.parameter = parameter
        self.code = parameter.code
        self.present, self.absent = present(parameter.code), absent(parameter.code)
        self.hot = hot
        self.base = base
        self.column = column_name(parameter.code)
        self.least, self.greatest = parameter.code, "-" + parameter.code

    @property
    def declared(self) -> str:
        """All that decides what it puts."""
        it = self.parameter
        parts = [(part.type, part.expression) for part in it.components]
        return f"{it.code} {it.type} {it.alias_of} {self.hot} {it.expression} {parts}"

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        return True

    def sort(self, row: IndexRow, values: list[SortValue]) -> None:
        if not values:
            return
        least, greatest = (values[0], values[0]) if len(values) == 1 else _ends(values)
        row.sorts[self.least] = least
        if greatest != least:
            row.sorts[self.greatest] = greatest


def _ends(values: list[SortValue]) -> tuple[SortValue, SortValue]:
    ordered = sorted(values)
    return ordered[0], ordered[-1]


class _Tokens(Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        codes: list[SortValue] = []
        for element in elements:
            row.keys += [value_key(tenant, self.code, token) for token in tokens(element)]
            codes += [code[:SORT_LENGTH] for _, code in codings(element) if code is not None]
            for typed in typed_identifiers(element):
                row.keys.append(value_key(tenant, self.code + ":of-type", typed))
            if isinstance(element, dict):
                row.values += spoken(self.code, displays(element))
        self.sort(row, codes)
        return True


class _References(Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        found = dict.fromkeys(t for e in elements for t in targets(e, self.base))
        row.keys += [reference_key(tenant, self.code, reference) for reference in found]
        for element in elements:
            if isinstance(element, dict) and ("identifier" in element or "display" in element):
                self._beside(tenant, row, element)
        for target in found:
            if "|" in target:
                self._versions(tenant, row, target)
        if found and self.hot:
            self._hot(row, found)
        else:
            self.sort(row, [reference[:SORT_LENGTH] for reference in found])
        return True

    def _beside(self, tenant: str, row: IndexRow, element: Any) -> None:
        """What a Reference tells of its target beside the address."""
        held, words = identifier(element), display(element)
        kind = named_type(element, self.base)
        for name in (name_identifier(self.code), name_identifier(self.code, kind or "")):
            row.keys += [value_key(tenant, name, token) for token in tokens(held)]
        row.values += spoken(self.code, [words] if words else [], kind)

    def _versions(self, tenant: str, row: IndexRow, canonical: str) -> None:
        name = name_below(self.code)
        row.keys += [value_key(tenant, name, one) for one in versions_above(canonical)]

    def _hot(self, row: IndexRow, found: Iterable[str]) -> None:
        """The first one in the column; a further one in the value table, where the same B-tree
        order finds it."""
        first, *further = dict.fromkeys(map(hot_reference, found))
        row.hot[self.column] = first
        row.values += [ValueRow(self.code, norm=reference) for reference in further]


class _Uris(Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        found = [element for element in elements if isinstance(element, str)]
        row.keys += [value_key(tenant, self.code, uri) for uri in found]
        below = name_below(self.code)
        row.keys += [value_key(tenant, below, place) for uri in found for place in above(uri)]
        self.sort(row, [uri[:SORT_LENGTH] for uri in found])
        return True


class _Strings(Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        found = dict.fromkeys(r for e in elements for r in string_rows(self.code, e))
        row.values += found
        self.sort(row, [(value.norm or "")[:SORT_LENGTH] for value in found])
        return True


class _Dates(Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        found = dict.fromkeys(i for element in elements for i in intervals(element))
        if not found:
            return False
        if self.hot:
            row.hot[self.column], row.hot[self.column + "_high"] = next(iter(found))
            return True
        row.values += [ValueRow(self.code, since=low, until=high) for low, high in found]
        self.sort(row, [low.isoformat(timespec="microseconds") for low, _ in found])
        return True


class _Amounts(Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        found = dict.fromkeys(amount for element in elements for amount in amounts(element))
        row.values += [_amount_row(self.code, amount) for amount in found]
        ends = [a.low if a.low.is_finite() else a.high for a in found]
        self.sort(row, [float(end) for end in ends if end.is_finite()])
        return bool(found)


_PUTS: Final[Mapping[str, type[Put]]] = {
    "token": _Tokens,
    "reference": _References,
    "uri": _Uris,
    "string": _Strings,
    "date": _Dates,
    "number": _Amounts,
    "quantity": _Amounts,
}


def string_rows(name: str, element: Any) -> Iterator[ValueRow]:
    """The texts of an element under `name`, folded and exact."""
    for text in texts(element):
        yield ValueRow(name, norm=normal(text)[:LENGTH], exact=text)


def date_rows(name: str, element: Any) -> Iterator[ValueRow]:
    """The intervals of an element under `name`."""
    for low, high in intervals(element):
        yield ValueRow(name, since=low, until=high)


def amount_rows(name: str, element: Any) -> Iterator[ValueRow]:
    """The ranges of an element under `name`."""
    for amount in amounts(element):
        yield _amount_row(name, amount)


def _amount_row(name: str, amount: Amount) -> ValueRow:
    return ValueRow(name, low=amount.low, high=amount.high, unit=amount.unit)


def spoken(code: str, found: Iterable[str], kind: str | None = None) -> Iterator[ValueRow]:
    """The rows for `:text`; `kind` is the type that a reference says it points at."""
    for norm in dict.fromkeys(normal(text)[:LENGTH] for text in found):
        if norm:
            yield ValueRow(name_text(code), norm=norm, unit=kind)
