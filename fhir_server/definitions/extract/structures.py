"""What a validator needs to know of each R4 type, without what its base type already says.

https://hl7.org/fhir/R4/structuredefinition.html
"""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.definitions.extract.package import Package, Resource, of_type

CORE = "http://hl7.org/fhir/StructureDefinition/"
SYSTEM = "http://hl7.org/fhirpath/System."
# The types behind the FHIRPath system types, where the published extension is imprecise.
SYSTEM_TYPES = {"Resource.id": "id", "Extension.url": "uri", "xhtml.id": "string"}
COPIED_FROM = tuple(CORE + t for t in ("Element", "Extension", "DomainResource"))


def specializations(package: Package) -> Iterator[Resource]:
    """Resource and complex types; primitives are code (`validation/primitives`)."""
    for definition in of_type(package, "StructureDefinition"):
        derived = definition.get("derivation") == "specialization"
        root = definition["type"] in ("Element", "Resource")
        if definition["kind"] in ("resource", "complex-type") and (derived or root):
            yield definition


def structures(package: Package) -> dict[str, Resource]:
    """type → `kind`, `base`, and `elements` by path (the root under the type's own name)."""
    return {d["type"]: _structure(d) for d in specializations(package)}


def _structure(definition: Resource) -> Resource:
    elements = definition["snapshot"]["element"]
    return {
        "kind": definition["kind"],
        "base": definition.get("baseDefinition", "").rpartition("/")[2],
        "elements": {e["path"]: _element(e, definition["url"]) for e in elements if _is_own(e)},
    }


def _is_own(element: Resource) -> bool:
    """Not repeated from the base type: `Patient.contact.id` is Element's."""
    path, base = element["path"], element["base"]["path"]
    return bool(path == base or path.partition(".")[0] == base.partition(".")[0])


def _element(element: Resource, url: str) -> Resource:
    facts: Resource = {}
    if types := [_type_code(t, element) for t in element.get("type", ())]:
        facts["type"] = types
    if element["min"] and "." in element["path"]:
        facts["min"] = element["min"]
    if element["max"] != "1" and "." in element["path"]:
        facts["max"] = element["max"]
    if element.get("isSummary"):
        facts["summary"] = True
    if reference := element.get("contentReference"):
        facts["content"] = reference.removeprefix("#")
    facts |= _targets(element) | binding(element)
    if rules := constraints(element, url):
        facts["constraint"] = rules
    return facts


def _type_code(declared: Resource, element: Resource) -> str:
    code: str = declared["code"]
    if not code.startswith(SYSTEM):
        return code
    base = element["base"]["path"]
    extension = (x for x in declared.get("extension", ()) if "valueUrl" in x)
    return SYSTEM_TYPES.get(base) or next((str(x["valueUrl"]) for x in extension), "string")


def _targets(element: Resource) -> Resource:
    facts: Resource = {}
    for declared in element.get("type", ()):
        targets = [t.rpartition("/")[2] for t in declared.get("targetProfile", ())]
        if targets and declared["code"] == "Reference" and "Resource" not in targets:
            facts["target"] = targets
        if "profile" in declared:
            facts["profile"] = declared["profile"]
    return facts


def binding(element: Resource) -> Resource:
    bound = element.get("binding", {})
    if bound.get("strength") == "required" and "valueSet" in bound:
        return {"binding": bound["valueSet"].partition("|")[0]}
    maximal = (
        x for x in bound.get("extension", ()) if x["url"].endswith("/elementdefinition-maxValueSet")
    )
    return next(({"binding": x["valueCanonical"]} for x in maximal), {})


def constraints(element: Resource, url: str) -> list[list[str]]:
    """`[key, expression, human]` of each error rule that belongs to this definition."""
    return [
        [rule["key"], rule["expression"], rule["human"]]
        for rule in element.get("constraint", ())
        if rule["severity"] == "error" and "expression" in rule
        if rule.get("source", url) == url or rule["source"] not in COPIED_FROM
    ]
