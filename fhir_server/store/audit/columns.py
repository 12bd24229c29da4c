"""The search columns of an AuditEvent, put together from those of its parts.

An AuditEvent is written for every read, so its columns must not cost what the general Indexer
takes. Most of an event is the same again and again: who asked, and what was done. The columns of
these parts come from the Indexer itself and are remembered; only references of entities are made
anew. A test holds the whole against what the Indexer makes of the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from fhir_server.store.index import Indexer
from fhir_server.store.keys import (
    absent,
    digest,
    name_identifier,
    parameter_mask,
    present,
    reference_key,
    value_key,
)
from fhir_server.store.values.tokens import any_system, with_system

TYPE: Final = "AuditEvent"
ENTITY, PATIENT, DATE = "entity", "patient", "date"
PERSON: Final = "Patient/"


class Part(NamedTuple):
    """What the parts of an event that come again and again leave behind to be searched by, as the
    beginning of the texts of the whole; `person` is a patient who asked."""

    keys: str
    sorts: str
    person: str


class Columns:
    """Makes keys and sort values; `parts` are members of a JSON object, without braces."""

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer
        self.fingerprint = indexer.fingerprint(TYPE)
        self._part = lru_cache(maxsize=8_192)(self._made)
        self._patient = lru_cache(maxsize=8_192)(_patient_keys)
        self._present = lru_cache(maxsize=1_024)(_present)

    def of(
        self,
        tenant: str,
        id: str,
        parts: str,
        patients: Sequence[str],
        data: Sequence[str],
        request: str | None = None,
    ) -> tuple[str, str]:
        """The keys as an array's text and the sort values as JSON; `patients` and `data` are what
        the entities refer to, each as `Type/id`; `request` is the identifier of another one."""
        part = self._part(tenant, parts)
        keys, sorts = f"{digest('resource', tenant, f'{TYPE}/{id}')}{part.keys}", part.sorts
        entities = dict.fromkeys([*patients, *data])
        if entities:
            sorts += _sort(ENTITY, entities)
        if entities or request:
            keys += self._present(tenant, ENTITY)
        people = [one for one in entities if one.startswith(PERSON)]
        for one in entities:
            if one.startswith(PERSON):
                keys += self._patient(tenant, one, one != part.person)
            else:
                keys += f",{digest('resource', tenant, one) ^ _MASK}"
        if people and not part.person:
            keys += self._present(tenant, PATIENT)
        if part.person:
            people.append(part.person)
        if people:
            sorts += _sort(PATIENT, people)
        if request:
            keys += _request_keys(tenant, request)
        return f"{{{keys}}}", f"{{{sorts}}}"

    def _made(self, tenant: str, text: str) -> Part:
        resource = {"resourceType": TYPE, "id": "-", **orjson.loads("{" + text + "}")}
        row = self._indexer.row(tenant, TYPE, resource)
        undated, dated = (value_key(tenant, name, "") for name in (absent(DATE), present(DATE)))
        if row.values:
            raise ValueError("an AuditEvent's parts must have no ordered values")
        keys = [dated, *(key for key in row.keys[1:] if key != undated)]
        person = str(row.sorts.pop(PATIENT, ""))
        return Part("," + ",".join(map(str, keys)), orjson.dumps(row.sorts).decode()[1:-1], person)


_MASK: Final = parameter_mask(ENTITY)


def _present(tenant: str, code: str) -> str:
    return f",{value_key(tenant, present(code), '')}"


def _patient_keys(tenant: str, reference: str, new: bool) -> str:  # noqa: FBT001 - cached
    """Of an entity that is a patient, who is `new` where the agent is another."""
    found = f",{reference_key(tenant, ENTITY, reference)}"
    return found + (f",{reference_key(tenant, PATIENT, reference)}" if new else "")


def _request_keys(tenant: str, request: str) -> str:
    """What is asked for with `entity:identifier`; not remembered, since none comes twice."""
    names = (name_identifier(ENTITY), name_identifier(ENTITY, ""))
    forms = (any_system(request), with_system("", request))
    return "".join(f",{digest('value', tenant, n, form)}" for n in names for form in forms)


def _sort(code: str, found: Collection[str]) -> str:
    """References need no escape."""
    least, greatest = min(found), max(found)
    if least == greatest:
        return f',"{code}":"{least}"'
    return f',"{code}":"{least}","-{code}":"{greatest}"'
