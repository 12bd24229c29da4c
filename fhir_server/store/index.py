"""What of a resource can be searched: hashed keys, typed columns, sort values, ordered values.

Equality parameters (token, reference, uri) become keys in one array; hot parameters also get
columns of their own; parameters that are compared (string, date, number, quantity) get rows in
the type's value table. `:missing` asks for a marker key that each present parameter leaves; a
hot one that is absent leaves one too, so that the key index finds what lacks it, as a thread
lacks `part-of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from fhir_server.definitions.model import Definitions, SearchParameter, ServedType
from fhir_server.fhir.path import compile
from fhir_server.store.keys import (
    absent,
    digest,
    hot_reference,
    present,
    reference_key,
    resource_key,
    value_key,
)
from fhir_server.store.tables import column_name
from fhir_server.store.values.dates import intervals
from fhir_server.store.values.numbers import amounts
from fhir_server.store.values.references import identifier, targets
from fhir_server.store.values.strings import LENGTH, normal, texts
from fhir_server.store.values.tokens import codings, tokens, typed_identifiers

# Answered by columns that every table has.
BUILT_IN: Final = frozenset({"_id", "_lastUpdated"})
SORT_LENGTH = 100
# Raised with every change to what this package makes of the same declaration.
FORM: Final = "1"
SortValue = str | float | int


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One row of the value table: which columns are set depends on the parameter's type."""

    param: str
    norm: str | None = None
    exact: str | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    since: datetime | None = None
    until: datetime | None = None
    unit: str | None = None


@dataclass(slots=True)
class IndexRow:
    """`keys[0]` is the resource's own; `sorts` holds a code's least value, and under `-code` its
    greatest where that differs; `hot` is column name → value, every hot column present.
    `fingerprint` is that of the declarations it was made by."""

    keys: list[int] = field(default_factory=list)
    sorts: dict[str, SortValue] = field(default_factory=dict)
    hot: dict[str, Any] = field(default_factory=dict)
    values: list[ValueRow] = field(default_factory=list)
    fingerprint: int = 0


class Indexer:
    """Compiles the search parameters of every served type; `base` is this server's own URL."""

    def __init__(self, definitions: Definitions, base: str | None = None) -> None:
        self._types = {
            name: [(compile(put.parameter.expression), put) for put in _puts(served, base)]
            for name, served in definitions.types.items()
        }
        self._empty = {name: _hot_columns(served) for name, served in definitions.types.items()}
        self._fingerprints = {
            name: digest(FORM, base or "", *sorted(put.declared for _, put in puts))
            for name, puts in self._types.items()
        }

    def fingerprint(self, resource_type: str) -> int:
        """Of all that decides what a row of the type looks like: a row that carries another one
        was made by other declarations and is to be made again."""
        return self._fingerprints[resource_type]

    def row(self, tenant: str, resource_type: str, resource: Mapping[str, Any]) -> IndexRow:
        """The search values of `resource`, which has its id."""
        empty, fingerprint = self._empty[resource_type], self._fingerprints[resource_type]
        row = IndexRow(hot=dict(empty), fingerprint=fingerprint)
        own = resource_key(tenant, f"{resource_type}/{resource['id']}")
        for path, put in self._types[resource_type]:
            elements = path.values(resource)
            if elements and put.put(tenant, row, elements):
                row.keys.append(value_key(tenant, put.present, ""))
            elif put.hot:
                row.keys.append(value_key(tenant, put.absent, ""))
        row.keys = [own, *dict.fromkeys(row.keys)]
        return row


def _puts(served: ServedType, base: str | None) -> list[_Put]:
    hot = {parameter.code for parameter in served.hot}
    return [
        _put(parameter)(parameter, (parameter.alias_of or parameter.code) in hot, base)
        for parameter in served.search.values()
        if parameter.expression and parameter.code not in BUILT_IN
    ]


def _hot_columns(served: ServedType) -> dict[str, None]:
    columns = [column_name(parameter.code) for parameter in served.hot]
    dates = [column_name(p.code) + "_high" for p in served.hot if p.type == "date"]
    return dict.fromkeys([*columns, *dates])


def _put(parameter: SearchParameter) -> type[_Put]:
    # An alias has no values of its own: only `:missing` needs to know that it is there.
    return _Put if parameter.alias_of else _PUTS.get(parameter.type, _Put)


class _Put:
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

    def __init__(self, parameter: SearchParameter, hot: bool, base: str | None) -> None:  # noqa: FBT001
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
        return f"{it.code} {it.type} {it.alias_of} {self.hot} {it.expression}"

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


class _Tokens(_Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        codes: list[SortValue] = []
        for element in elements:
            row.keys += [value_key(tenant, self.code, token) for token in tokens(element)]
            codes += [code[:SORT_LENGTH] for _, code in codings(element) if code is not None]
            for typed in typed_identifiers(element):
                row.keys.append(value_key(tenant, self.code + ":of-type", typed))
        self.sort(row, codes)
        return True


class _References(_Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        found = dict.fromkeys(t for e in elements for t in targets(e, self.base))
        row.keys += [reference_key(tenant, self.code, reference) for reference in found]
        for element in elements:
            held = identifier(element)
            if held:
                keyed = self.code + ":identifier"
                row.keys += [value_key(tenant, keyed, token) for token in tokens(held)]
        if found and self.hot:
            self._hot(row, found)
        else:
            self.sort(row, [reference[:SORT_LENGTH] for reference in found])
        return True

    def _hot(self, row: IndexRow, found: Iterable[str]) -> None:
        """The first one in the column; a further one in the value table, where the same B-tree
        order finds it."""
        first, *further = dict.fromkeys(map(hot_reference, found))
        row.hot[self.column] = first
        row.values += [ValueRow(self.code, norm=reference) for reference in further]


class _Uris(_Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        found = [element for element in elements if isinstance(element, str)]
        row.keys += [value_key(tenant, self.code, uri) for uri in found]
        self.sort(row, [uri[:SORT_LENGTH] for uri in found])
        return True


class _Strings(_Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        found = dict.fromkeys(text for element in elements for text in texts(element))
        folded = [(normal(text)[:LENGTH], text) for text in found]
        row.values += [ValueRow(self.code, norm=norm, exact=text) for norm, text in folded]
        self.sort(row, [norm[:SORT_LENGTH] for norm, _ in folded])
        return True


class _Dates(_Put):
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


class _Amounts(_Put):
    __slots__ = ("absent",)

    def put(self, tenant: str, row: IndexRow, elements: list[Any]) -> bool:
        found = dict.fromkeys(amount for element in elements for amount in amounts(element))
        row.values += [ValueRow(self.code, low=a.low, high=a.high, unit=a.unit) for a in found]
        ends = [a.low if a.low.is_finite() else a.high for a in found]
        self.sort(row, [float(end) for end in ends if end.is_finite()])
        return bool(found)


_PUTS: Final[Mapping[str, type[_Put]]] = {
    "token": _Tokens,
    "reference": _References,
    "uri": _Uris,
    "string": _Strings,
    "date": _Dates,
    "number": _Amounts,
    "quantity": _Amounts,
}
