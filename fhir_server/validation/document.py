"""A document carries what its Composition is about: its subject and what its sections list.

https://hl7.org/fhir/R4/documents.html, https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.fhir.reference import Reference, parse
from fhir_server.validation.objects import objects
from fhir_server.validation.place import Place
from fhir_server.validation.run import Json, Run


def check(bundle: Json, at: Place, run: Run) -> None:
    entries = [entry for _, entry in objects(bundle, "entry")]
    composition = entries[0].get("resource") if entries else None
    if not isinstance(composition, dict) or composition.get("resourceType") != "Composition":
        return  # bdl-11 says so
    place = ((at, "entry", 0), "resource", None)
    for reference, where in _references(composition, place):
        text = reference.get("reference")
        if isinstance(text, str) and not text.startswith("#"):
            _check_found(text, entries, where, run)


def _references(composition: Json, at: Place) -> Iterator[tuple[Json, Place]]:
    subject = composition.get("subject")
    if isinstance(subject, dict):
        yield subject, (at, "subject", None)
    yield from _listed(composition, at)


def _listed(owner: Json, at: Place) -> Iterator[tuple[Json, Place]]:
    for index, section in objects(owner, "section"):
        place = (at, "section", index)
        for number, reference in objects(section, "entry"):
            yield reference, (place, "entry", number)
        yield from _listed(section, place)


def _check_found(text: str, entries: list[Json], at: Place, run: Run) -> None:
    base = str(entries[0].get("fullUrl")).partition("/Composition/")[0]
    found = sum(_is(text, base, entry) for entry in entries)
    if found != 1:
        what = "no entry" if not found else f"{found} entries"
        run.error("invalid", f"The bundle has {what} of this reference", at)


def _is(text: str, base: str, entry: Json) -> bool:
    """Whether a reference in a resource whose fullUrl is under `base` names an entry."""
    named = parse(text)
    return _address(text, base, named) == entry.get("fullUrl") and (
        named.version is None or named.version == _version(entry.get("resource"))
    )


def _address(text: str, base: str, named: Reference) -> str:
    plain = text.partition("/_history/")[0]
    return f"{base}/{plain}" if named.local else plain


def _version(resource: Any) -> Any:
    meta = resource.get("meta") if isinstance(resource, dict) else None
    return meta.get("versionId") if isinstance(meta, dict) else None
