"""The search columns of an AuditEvent, put together from those of its parts.

An AuditEvent is written for every read, so its columns must not cost what the general Indexer
takes. Most of an event is the same again and again: who asked, and what was done. The columns of
these parts come from the Indexer itself and are remembered; only references of entities are made
anew. A test holds the whole against what the Indexer makes of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from fhir_server.store.index import Indexer
from fhir_server.store.index_row import SortValue
from fhir_server.store.keys import (
    absent,
    digest,
    name_identifier,
    present,
    reference_key,
    value_key,
)
from fhir_server.store.values.tokens import any_system, with_system

TYPE: Final = "AuditEvent"
ENTITY, PATIENT, DATE = "entity", "patient", "date"


class Part(NamedTuple):
    """What one part of an event leaves behind to be searched by."""

    keys: tuple[int, ...]
    sorts: dict[str, SortValue]


class Columns:
    """Makes keys and sort values; `part` texts are members of a JSON object, without braces."""

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer
        self.fingerprint = indexer.fingerprint(TYPE)
        self._part = lru_cache(maxsize=8_192)(self._made)
        self._common = lru_cache(maxsize=1_024)(_common)

    def of(
        self,
        tenant: str,
        id: str,
        parts: Iterable[str],
        references: Sequence[str],
        request: str | None = None,
    ) -> tuple[str, str]:
        """The keys as an array's text and the sort values as JSON; `references` are those of the
        entities, each as `Type/id`; `request` is the identifier of another one."""
        keys = [digest("resource", tenant, f"{TYPE}/{id}")]
        sorts: dict[str, SortValue] = {}
        people: list[str] = []
        for text in parts:
            part = self._part(tenant, text)
            keys += part.keys
            sorts |= part.sorts
        if PATIENT in sorts:
            people.append(str(sorts[PATIENT]))
        common = self._common(tenant)
        keys.append(common.date)
        if references:
            keys.append(common.entity)
            keys += [reference_key(tenant, ENTITY, one) for one in references]
            _sort(sorts, ENTITY, references)
        if request:
            keys += _request_keys(tenant, request)
            keys.append(common.entity)
        patients = [one for one in references if one.startswith("Patient/")]
        if patients:
            keys.append(common.patient)
            keys += [reference_key(tenant, PATIENT, one) for one in patients]
            _sort(sorts, PATIENT, people + patients)
        return "{" + ",".join(map(str, dict.fromkeys(keys))) + "}", orjson.dumps(sorts).decode()

    def _made(self, tenant: str, text: str) -> Part:
        resource = {"resourceType": TYPE, "id": "-", **orjson.loads("{" + text + "}")}
        row = self._indexer.row(tenant, TYPE, resource)
        undated = value_key(tenant, absent(DATE), "")
        if row.values:
            raise ValueError("an AuditEvent's parts must have no ordered values")
        return Part(tuple(key for key in row.keys[1:] if key != undated), row.sorts)


class _Common(NamedTuple):
    date: int
    entity: int
    patient: int


def _common(tenant: str) -> _Common:
    """The keys that tell that a parameter has any value."""
    return _Common(*(value_key(tenant, present(code), "") for code in (DATE, ENTITY, PATIENT)))


def _request_keys(tenant: str, request: str) -> Iterator[int]:
    """What is asked for with `entity:identifier`; not remembered, since none comes twice."""
    for name in (name_identifier(ENTITY), name_identifier(ENTITY, "")):
        for form in (any_system(request), with_system("", request)):
            yield digest("value", tenant, name, form)


def _sort(sorts: dict[str, SortValue], code: str, found: Sequence[str]) -> None:
    least, greatest = min(found), max(found)
    sorts[code] = least
    if greatest != least:
        sorts["-" + code] = greatest
