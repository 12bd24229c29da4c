"""The codes of the value sets that required bindings name, as far as they can be listed.

https://hl7.org/fhir/R4/valueset.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_server.definitions.extract.package import Package, Resource

# Beyond this a value set is a terminology server's business.
LARGEST = 1200
Codes = dict[str, list[str]]


class Unlistable(Exception):
    """The value set has codes that the package does not carry."""


def _concepts(concepts: Iterable[Resource]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _concepts(concept.get("concept", ()))


def _system_codes(package: Package, system: str) -> list[str]:
    definition = package.get(("CodeSystem", system))
    if definition is None or definition["content"] != "complete":
        raise Unlistable(system)
    return list(_concepts(definition["concept"]))


def _included(package: Package, include: Resource) -> Iterator[tuple[str, str]]:
    if "filter" in include:
        raise Unlistable(include["system"])
    for url in include.get("valueSet", ()):
        listed = codes(package, url.partition("|")[0])
        yield from ((system, code) for system, found in listed.items() for code in found)
    if system := include.get("system"):
        listed_here = include.get("concept")
        named = _concepts(listed_here) if listed_here else _system_codes(package, system)
        yield from ((system, code) for code in named)


def codes(package: Package, url: str) -> Codes:
    """system → codes, in the order of definition; Unlistable when it cannot be told."""
    value_set = package.get(("ValueSet", url))
    if value_set is None or "exclude" in value_set.get("compose", {}):
        raise Unlistable(url)
    found: dict[tuple[str, str], None] = {}
    for include in value_set["compose"]["include"]:
        found |= dict.fromkeys(_included(package, include))
    if len(found) > LARGEST:
        raise Unlistable(url)
    listed: Codes = {}
    for system, code in found:
        listed.setdefault(system, []).append(code)
    return listed


def value_sets(package: Package, urls: Iterable[str]) -> dict[str, Codes]:
    """Those of `urls` that can be listed."""
    found = {}
    for url in sorted(set(urls)):
        try:
            found[url] = codes(package, url)
        except Unlistable:
            continue
    return found


def code_systems(package: Package, systems: Iterable[str]) -> dict[str, Resource]:
    """The names of the codes of those of `systems` that the package carries whole."""
    found: dict[str, Resource] = {}
    for system in sorted(set(systems)):
        definition = package.get(("CodeSystem", system))
        if definition is not None and definition["content"] == "complete":
            concepts: dict[str, str] = dict(_displays(definition["concept"]))
            kept = [key for key in ("name", "version") if key in definition]
            found[system] = {key: definition[key] for key in kept} | {"concepts": concepts}
    return found


def _displays(concepts: Iterable[Resource]) -> Iterator[tuple[str, str]]:
    for concept in concepts:
        yield concept["code"], concept.get("display") or concept["code"]
        yield from _displays(concept.get("concept", ()))
