"""What the audit trail is told of one interaction, before it becomes an AuditEvent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from fhir_server.context import Context
from fhir_server.interactions.model import Result
from fhir_server.store.everything import Everything
from fhir_server.store.search.page import Page
from fhir_server.store.stored import Stored

# Stored JSON has no blanks between its parts, and a quote inside a text is escaped: this is a
# Reference's own member, whatever texts say. (Looking for the quote before it as well takes twice
# as long, and no other member ends so.)
_PATIENT: Final = re.compile(rb'reference":"(Patient/[A-Za-z0-9\-.]{1,64})')
_WHOLE: Final = re.compile(r"Patient/[A-Za-z0-9\-.]{1,64}")
PATIENT: Final = "patient"
Names = tuple[str, ...]


class Given(NamedTuple):
    """What an interaction gave or changed: `data` as `Type/id/_history/1`, and the `patients`
    (`Patient/x`) whom any of it names."""

    data: Names = ()
    patients: Names = ()


NOTHING: Final = Given()


class Record(NamedTuple):
    """One AuditEvent to be; `code` is an issue code where it was refused, with HTTP `status`."""

    ctx: Context
    interaction: str
    given: Given
    query: str = ""
    status: int = 200
    code: str = ""


def patients(found: Iterable[Stored]) -> Names:
    """Everyone whom a resource names, or is: a message belongs to the trail of its subject and of
    the patients who wrote or received it, as it lies in the compartments of all of them."""
    listed = list(found)
    bodies = [stored.body for stored in listed]
    whole = bodies[0] if len(bodies) == 1 else b"".join(bodies)
    names = [name.decode() for name in dict.fromkeys(_PATIENT.findall(whole))]
    own = [stored.reference for stored in listed if stored.type == "Patient"]
    return tuple(dict.fromkeys([*own, *names]) if own else names)


def named(params: Iterable[tuple[str, str]], owner: str = "") -> Iterator[str]:
    """The patients whom a search is about, whether or not it finds anything."""
    for name, value in [*params, (PATIENT, owner)]:
        if "Patient/" in value or name == PATIENT:
            for part in value.split(","):
                whom = part if "/" in part else f"Patient/{part}"
                if _WHOLE.fullmatch(whom):
                    yield whom


def of_one(stored: Stored) -> Given:
    """A version that was read."""
    return Given((_version(stored),), patients((stored,)))


def of_page(page: Page) -> Given:
    """A search tells whose data it gave; the query tells which."""
    first = [
        Stored("", "", 0, page.matches[0].updated, value)
        for row in page.derived
        for value in row
        if isinstance(value, bytes)
    ]
    return Given((), patients([*page.matches, *page.includes, *first]))


def of_everything(owner: str, page: Everything) -> Given:
    """The same of a compartment."""
    return Given((owner,), patients([*page.records, *page.supporting]))


def of_result(result: Result) -> Given:
    """What was written, or found to be written already."""
    if result.touched:
        data = tuple(dict.fromkeys(_version(one) for one in result.touched))
        return Given(data, patients(result.touched))
    return of_one(result.stored) if result.stored is not None else NOTHING


def of_many(owner: str, result: Result) -> Given | None:
    """What was changed because of `owner`; None where nothing was."""
    if not result.touched:
        return None
    changed = of_result(result)
    whom = [owner] if _WHOLE.fullmatch(owner) else []
    return Given(changed.data, tuple(dict.fromkeys([*whom, *changed.patients])))


def _version(stored: Stored) -> str:
    return f"{stored.type}/{stored.id}/_history/{stored.version}"
