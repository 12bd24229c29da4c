"""The search parameters and compartments of the served types.

https://hl7.org/fhir/R4/searchparameter.html, https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fhir_server.definitions.extract.package import Package, Resource, of_type

COMMON = ("Resource", "DomainResource")
# Not domain resources: `_text` does not apply.
PLAIN = frozenset({"Binary", "Bundle", "Parameters"})
EXAMPLES = "http://hl7.org/fhir/SearchParameter/example"
NARROWED = re.compile(r"resolve\(\) is (\w+)")


def union_parts(expression: str) -> Iterator[str]:
    """The operands of the top-level `|` of a FHIRPath expression."""
    depth = start = 0
    for at, char in enumerate(expression):
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            yield expression[start:at].strip()
            start = at + 1
    yield expression[start:].strip()


def own_part(expression: str, base: str) -> str:
    """Of a union over several types, what belongs to `base`."""
    if base in COMMON:
        return expression
    parts = list(union_parts(expression))
    mine = [p for p in parts if re.match(rf"\(*{base}\b", p)]
    return " | ".join(mine)


def _targets(parameter: Resource, expression: str, every: Sequence[str]) -> list[str]:
    narrowed = [NARROWED.search(part) for part in union_parts(expression)]
    if expression and all(narrowed):
        return sorted({match[1] for match in narrowed if match})
    targets: list[str] = parameter.get("target", [])
    # The official list of all types leaves Parameters out, and has drafts that R4 has not.
    return ["*"] if {*targets, "Parameters"} >= set(every) else targets


def _entry(parameter: Resource, base: str, every: Sequence[str]) -> Resource:
    expression = own_part(parameter.get("expression", ""), base)
    entry = {
        "url": parameter["url"],
        "code": parameter["code"],
        "type": parameter["type"],
        "expression": expression,
        "target": _targets(parameter, expression, every),
    }
    if components := parameter.get("component"):
        kept = ("definition", "expression")
        entry["components"] = [{k: c[k] for k in kept} for c in components]
    return entry


def search_parameters(
    package: Package, types: Sequence[str], every: Sequence[str]
) -> dict[str, dict[str, Resource]]:
    """type → code → parameter; `every` names all resource types (a target list of all is `*`)."""
    found: dict[str, dict[str, Resource]] = {t: {} for t in sorted(types)}
    for parameter in of_type(package, "SearchParameter"):
        for base in parameter.get("base", ()):
            if parameter["url"].startswith(EXAMPLES):
                continue
            for served in _heirs(base, types):
                found[served][parameter["code"]] = _entry(parameter, base, every)
    return {t: dict(sorted(codes.items())) for t, codes in found.items()}


def _heirs(base: str, types: Sequence[str]) -> Sequence[str]:
    if base == "Resource":
        return types
    if base == "DomainResource":
        return [t for t in types if t not in PLAIN]
    return [base] if base in types else []


def compartments(package: Package, types: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """compartment code → served type → the parameters that put a resource in it."""
    found = {}
    for definition in of_type(package, "CompartmentDefinition"):
        if definition["url"].endswith("/example"):
            continue
        members = {r["code"]: r["param"] for r in definition["resource"] if r.get("param")}
        found[definition["code"]] = {t: members[t] for t in sorted(types) if t in members}
    return found
