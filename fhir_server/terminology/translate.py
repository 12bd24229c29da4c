"""ConceptMap/$translate, in both directions.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fhir_server.problems import invalid
from fhir_server.terminology.arguments import Arguments, parameters
from fhir_server.terminology.codings import Coded, asked
from fhir_server.terminology.expand import Declared
from fhir_server.terminology.library import Elsewhere, Library

Json = dict[str, Any]
# What a relation is called when a map is read from its target to its source.
BACKWARD: Mapping[str, str] = {
    "wider": "narrower",
    "narrower": "wider",
    "specializes": "subsumes",
    "subsumes": "specializes",
}
UNRELATED = frozenset({"unmatched", "disjoint"})


class Match(NamedTuple):
    """One translation: `concept` is a Coding, `source` the map that says so."""

    equivalence: str
    concept: Json
    source: str | None


def translate(library: Library, arguments: Arguments, declared: Declared) -> Json:
    """Every translation of the code that the map, or else any known map, has."""
    reverse = arguments.flag("reverse")
    codings = asked(arguments, arguments.text("system"))
    maps = _maps(library, arguments, declared, codings, reverse=reverse)
    target = arguments.text("targetsystem")
    found = [
        match
        for one in maps
        for coded in codings
        for match in _matches(one, coded, reverse=reverse)
        if target in (None, match.concept.get("system"))
    ]
    good = any(match.equivalence not in UNRELATED for match in found)
    return parameters(
        ("result", "Boolean", good),
        ("message", "String", None if good else "no translation is known"),
        *(("match", "part", list(_told(match))) for match in found),
    )


def _maps(
    library: Library,
    arguments: Arguments,
    declared: Declared,
    codings: Sequence[Coded],
    *,
    reverse: bool,
) -> Sequence[Mapping[str, Any]]:
    inline, url = arguments.element("conceptMap"), arguments.text("url")
    given = [one for one in (declared, inline, url) if one is not None]
    if len(given) > 1:
        raise invalid("only one of url and conceptMap, or the address of a map, can be given")
    if url is not None:
        return [_known(library, url, arguments.text("conceptMapVersion"))]
    whole = declared if declared is not None else inline
    if whole is None:
        return _fitting(library, arguments, codings, reverse=reverse)
    if whole.get("resourceType") != "ConceptMap":
        raise invalid("conceptMap must be a ConceptMap", "conceptMap")
    return [whole]


def _known(library: Library, url: str, version: str | None) -> Mapping[str, Any]:
    url, _, told = url.partition("|")
    for one in library.maps:
        if one["url"] == url and (version or told or one.get("version")) == one.get("version"):
            return one
    raise Elsewhere("that concept map")


def _fitting(
    library: Library, arguments: Arguments, codings: Sequence[Coded], *, reverse: bool
) -> Sequence[Mapping[str, Any]]:
    """The declared maps from the code's system, between the value sets that are named."""
    wanted = {coded.system for coded in codings}
    if None in wanted:
        raise invalid("the system of the code is required where no map is named", "system")
    named = arguments.text("source"), arguments.text("target")
    found = [
        one
        for one in library.maps
        if any(group.get(_FROM[reverse]) in wanted for group in one["group"])
        and all(
            scope in (None, other) for scope, other in zip(named, _ends(one, reverse), strict=True)
        )
    ]
    if not found:
        raise Elsewhere("a concept map for the code's system")
    return found


_FROM = {False: "source", True: "target"}


def _ends(one: Mapping[str, Any], reverse: bool) -> tuple[str | None, str | None]:  # noqa: FBT001
    """The value sets that the map leads from and to."""
    source = one.get("sourceUri") or one.get("sourceCanonical")
    target = one.get("targetUri") or one.get("targetCanonical")
    return (target, source) if reverse else (source, target)


def _matches(one: Mapping[str, Any], coded: Coded, *, reverse: bool) -> Iterator[Match]:
    for group in one.get("group", ()):
        if coded.system in (None, group.get(_FROM[reverse])):
            found = list(_backward(group, coded) if reverse else _forward(group, coded))
            yield from (Match(how, concept, one.get("url")) for how, concept in found)


def _forward(group: Mapping[str, Any], coded: Coded) -> Iterator[tuple[str, Json]]:
    elements = [element for element in group["element"] if element.get("code") == coded.code]
    for element in elements:
        for target in element.get("target", ()):
            yield target["equivalence"], _coding(group.get("target"), target)
    if not elements:
        yield from _unmapped(group, coded)


def _unmapped(group: Mapping[str, Any], coded: Coded) -> Iterator[tuple[str, Json]]:
    told: Mapping[str, Any] = group.get("unmapped", {})
    if told.get("mode") == "provided":
        yield "equal", _coding(group.get("target"), {"code": coded.code})
    elif told.get("mode") == "fixed":
        yield "inexact", _coding(group.get("target"), told)


def _backward(group: Mapping[str, Any], coded: Coded) -> Iterator[tuple[str, Json]]:
    for element in group["element"]:
        for target in element.get("target", ()):
            if target.get("code") == coded.code:
                how = target["equivalence"]
                yield BACKWARD.get(how, how), _coding(group.get("source"), element)


def _coding(system: str | None, named: Mapping[str, Any]) -> Json:
    told = {"system": system, "code": named.get("code"), "display": named.get("display")}
    return {key: value for key, value in told.items() if value is not None}


def _told(match: Match) -> Iterator[tuple[str, str, Any]]:
    yield "equivalence", "Code", match.equivalence
    if match.concept.get("code"):
        yield "concept", "Coding", match.concept
    yield "source", "Uri", match.source
