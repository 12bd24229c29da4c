"""What of a resource can be searched: hashed keys, typed columns, sort values, ordered values.

Equality parameters (token, reference, uri) become keys in one array; hot parameters also get
columns of their own; parameters that are compared (string, date, number, quantity) get rows in
the type's value table. `:missing` asks for a marker key that each present parameter leaves; a
hot one that is absent leaves one too, so that the key index finds what lacks it, as a thread
lacks `part-of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.model import Definitions, ServedType
from fhir_server.fhir.path import compile
from fhir_server.fhir.path.needed import needed
from fhir_server.store.composites import Composite
from fhir_server.store.full_text import FullText
from fhir_server.store.index_row import IndexRow
from fhir_server.store.keys import digest, resource_key, value_key
from fhir_server.store.puts import Put, put_for
from fhir_server.store.tables import column_name

# Answered by columns that every table has.
BUILT_IN: Final = frozenset({"_id", "_lastUpdated"})
# Raised with every change to what this package makes of the same declaration.
FORM: Final = "2"


class Indexer:
    """Compiles the search parameters of every served type; `base` is this server's own URL."""

    def __init__(self, definitions: Definitions, base: str | None = None) -> None:
        served = definitions.types.items()
        self._types = {
            name: [
                (compile(put.parameter.expression), needed(put.parameter.expression), put)
                for put in _puts(it, base)
            ]
            for name, it in served
        }
        structures = load_facts().structures
        self._words = {name: FullText(it, structures) for name, it in served}
        self._empty = {name: _hot_columns(it) | self._words[name].empty for name, it in served}
        self._fingerprints = {
            name: digest(
                FORM,
                base or "",
                *sorted(put.declared for *_, put in puts),
                *self._words[name].empty,
            )
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
        for path, keys, put in self._types[resource_type]:
            there = keys is None or not keys.isdisjoint(resource)
            elements = path.values(resource) if there else []
            if elements and put.put(tenant, row, elements):
                row.keys.append(value_key(tenant, put.present, ""))
            elif put.hot:
                row.keys.append(value_key(tenant, put.absent, ""))
        row.keys = [own, *dict.fromkeys(row.keys)]
        row.hot |= self._words[resource_type].columns(resource)
        return row


def _puts(served: ServedType, base: str | None) -> list[Put]:
    hot = {parameter.code for parameter in served.hot}
    return [
        Composite(parameter, hot=False, base=base)
        if parameter.components
        else put_for(parameter)(
            parameter, hot=(parameter.alias_of or parameter.code) in hot, base=base
        )
        for parameter in served.search.values()
        if parameter.expression and parameter.code not in BUILT_IN
    ]


def _hot_columns(served: ServedType) -> dict[str, str | None]:
    columns = [column_name(parameter.code) for parameter in served.hot]
    dates = [column_name(p.code) + "_high" for p in served.hot if p.type == "date"]
    return dict.fromkeys([*columns, *dates])
