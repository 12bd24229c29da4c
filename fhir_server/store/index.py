"""What of a resource can be searched: hashed keys, typed columns, sort values, ordered values.

Equality parameters (token, reference, uri) become keys in one array; hot parameters also get
columns of their own; parameters that are compared (string, date, number, quantity) get rows in
the type's value table. `:missing` asks for a marker key that each present parameter leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from fhir_server.definitions.model import Definitions, SearchParameter, ServedType
from fhir_server.fhir.path import Path, compile
from fhir_server.store.keys import (
    hot_reference,
    present_key,
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
    greatest where that differs; `hot` is column name → value, every hot column present."""

    keys: list[int] = field(default_factory=list)
    sorts: dict[str, SortValue] = field(default_factory=dict)
    hot: dict[str, Any] = field(default_factory=dict)
    values: list[ValueRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the values of one parameter of one resource go."""

    tenant: str
    parameter: SearchParameter
    hot: bool
    base: str | None
    row: IndexRow

    @property
    def code(self) -> str:
        return self.parameter.code

    def key(self, value: str, suffix: str = "") -> None:
        self.row.keys.append(value_key(self.tenant, self.code + suffix, value))

    def sort(self, *values: SortValue) -> None:
        least, greatest = min(values), max(values)
        self.row.sorts[self.code] = least
        if greatest != least:
            self.row.sorts["-" + self.code] = greatest

    def value(self, **columns: Any) -> None:
        self.row.values.append(ValueRow(self.code, **columns))


class Indexer:
    """Compiles the search parameters of every served type; `base` is this server's own URL."""

    def __init__(self, definitions: Definitions, base: str | None = None) -> None:
        self._base = base
        self._types = {name: _compiled(served) for name, served in definitions.types.items()}
        self._empty = {name: _hot_columns(served) for name, served in definitions.types.items()}

    def row(self, tenant: str, resource_type: str, resource: Mapping[str, Any]) -> IndexRow:
        """The search values of `resource`, which has its id."""
        row = IndexRow(hot=dict(self._empty[resource_type]))
        row.keys.append(resource_key(tenant, f"{resource_type}/{resource['id']}"))
        for parameter, path, hot, put in self._types[resource_type]:
            elements = path.values(resource)
            if elements:
                target = _Target(tenant, parameter, hot, self._base, row)
                if put(target, elements):
                    row.keys.append(present_key(tenant, parameter.code))
        row.keys[1:] = dict.fromkeys(row.keys[1:])
        return row


_Put = Callable[[_Target, list[Any]], bool]
_Compiled = tuple[SearchParameter, Path, bool, _Put]


def _compiled(served: ServedType) -> list[_Compiled]:
    hot = {parameter.code for parameter in served.hot}
    return [
        (parameter, compile(parameter.expression), code in hot, _put_for(parameter))
        for code, parameter in served.search.items()
        if parameter.expression and code not in BUILT_IN
    ]


def _hot_columns(served: ServedType) -> dict[str, None]:
    columns = [column_name(parameter.code) for parameter in served.hot]
    dates = [column_name(p.code) + "_high" for p in served.hot if p.type == "date"]
    return dict.fromkeys([*columns, *dates])


def _put_for(parameter: SearchParameter) -> _Put:
    # An alias has no values of its own: only `:missing` needs to know that it is there.
    return _put_nothing if parameter.alias_of else _PUTS.get(parameter.type, _put_nothing)


def _put_nothing(_target: _Target, _elements: list[Any]) -> bool:
    return True


def _put_tokens(target: _Target, elements: list[Any]) -> bool:
    codes = []
    for element in elements:
        for token in tokens(element):
            target.key(token)
        for typed in typed_identifiers(element):
            target.key(typed, ":of-type")
        codes += [code for _, code in codings(element) if code is not None]
    if codes:
        target.sort(*(code[:SORT_LENGTH] for code in codes))
    return True


def _put_references(target: _Target, elements: list[Any]) -> bool:
    found = list(dict.fromkeys(t for e in elements for t in targets(e, target.base)))
    for reference in found:
        target.row.keys.append(reference_key(target.tenant, target.code, reference))
    for element in elements:
        for token in tokens(identifier(element)):
            target.key(token, ":identifier")
    if found and target.hot:
        _put_hot_references(target, found)
    elif found:
        target.sort(*(reference[:SORT_LENGTH] for reference in found))
    return True


def _put_hot_references(target: _Target, found: list[str]) -> None:
    """The first one in the column; a further one in the value table, where the same B-tree
    order finds it."""
    first, *further = dict.fromkeys(hot_reference(reference) for reference in found)
    target.row.hot[column_name(target.code)] = first
    for reference in further:
        target.value(norm=reference)


def _put_uris(target: _Target, elements: list[Any]) -> bool:
    found = [element for element in elements if isinstance(element, str)]
    for uri in found:
        target.key(uri)
    if found:
        target.sort(*(uri[:SORT_LENGTH] for uri in found))
    return True


def _put_strings(target: _Target, elements: list[Any]) -> bool:
    found = dict.fromkeys(text for element in elements for text in texts(element))
    norms = []
    for text in found:
        norms.append(normal(text)[:LENGTH])
        target.value(norm=norms[-1], exact=text)
    if norms:
        target.sort(*(norm[:SORT_LENGTH] for norm in norms))
    return True


def _put_dates(target: _Target, elements: list[Any]) -> bool:
    found = dict.fromkeys(i for element in elements for i in intervals(element))
    if not found:
        return False
    if target.hot:
        name = column_name(target.code)
        target.row.hot[name], target.row.hot[name + "_high"] = next(iter(found))
        return True
    for since, until in found:
        target.value(since=since, until=until)
    target.sort(*(since.isoformat(timespec="microseconds") for since, _ in found))
    return True


def _put_amounts(target: _Target, elements: list[Any]) -> bool:
    found = dict.fromkeys(amount for element in elements for amount in amounts(element))
    for low, high, unit in found:
        target.value(low=low, high=high, unit=unit)
    ends = [a.low if a.low.is_finite() else a.high for a in found]
    finite = [float(end) for end in ends if end.is_finite()]
    if finite:
        target.sort(*finite)
    return bool(found)


_PUTS: Final[Mapping[str, _Put]] = {
    "token": _put_tokens,
    "reference": _put_references,
    "uri": _put_uris,
    "string": _put_strings,
    "date": _put_dates,
    "number": _put_amounts,
    "quantity": _put_amounts,
}
