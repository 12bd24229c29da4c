"""CodeSystem/$lookup. https://hl7.org/fhir/R4/codesystem-operation-lookup.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.problems import invalid, not_found
from fhir_server.terminology.arguments import Arguments, parameters
from fhir_server.terminology.codings import asked
from fhir_server.terminology.expand import Declared
from fhir_server.terminology.library import Library

Json = dict[str, Any]


def lookup(library: Library, arguments: Arguments, _: Declared) -> Json:
    """What a code means; 404 where its code system does not have it."""
    coded = asked(arguments, arguments.text("system"))[0]
    if coded.system is None:
        raise invalid("the system of the code is required", "system")
    system = library.system(coded.system, coded.version)
    concept = system.concepts.get(coded.code)
    if concept is None:
        raise not_found(f"the code in {system.url}")
    return parameters(
        ("name", "String", system.name),
        ("version", "String", system.version),
        ("display", "String", concept.get("display", coded.code)),
        *_designations(concept),
        *_properties(concept, arguments.texts("property")),
    )


def _designations(concept: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for one in concept.get("designation", ()):
        told = [("language", "Code", one.get("language")), ("use", "Coding", one.get("use"))]
        yield "designation", "part", [*told, ("value", "String", one["value"])]


def _properties(concept: Mapping[str, Any], wanted: list[str]) -> Iterator[tuple[str, str, Any]]:
    known: list[tuple[str, str, Any]] = []
    if "definition" in concept:
        known.append(("definition", "String", concept["definition"]))
    for one in concept.get("property", ()):
        key = next(key for key in one if key.startswith("value"))
        known.append((one["code"], key.removeprefix("value"), one[key]))
    for code, type, value in known:
        if not wanted or code in wanted:
            yield "property", "part", [("code", "Code", code), ("value", type, value)]
