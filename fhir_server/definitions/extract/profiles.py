"""The profiles and extension definitions of the core package, cut to what a validator reads.

They keep the shape of a StructureDefinition differential, as the project's own profiles have.
"""

from __future__ import annotations

from fhir_server.definitions.extract.package import Package, Resource, of_type
from fhir_server.definitions.extract.structures import COPIED_FROM

KEPT = ("id", "path", "sliceName", "slicing", "min", "max", "contentReference")
VALUE_RULES = ("fixed", "pattern")


def profiles(package: Package) -> dict[str, Resource]:
    """Canonical url → `type`, `context` of an extension, and its differential's elements."""
    return {
        d["url"]: _profile(d)
        for d in of_type(package, "StructureDefinition")
        if d.get("derivation") == "constraint" and "example" not in d["url"].lower()
    }


def _profile(definition: Resource) -> Resource:
    profile: Resource = {"type": definition["type"]}
    if definition["type"] == "Extension":
        profile["context"] = [[c["type"], c["expression"]] for c in definition.get("context", ())]
    profile["element"] = [_element(e) for e in definition["differential"]["element"]]
    return profile


def _element(element: Resource) -> Resource:
    kept = {k: v for k, v in element.items() if k in KEPT or k.startswith(VALUE_RULES)}
    if kept.get("id") == kept["path"]:
        del kept["id"]
    if types := [_type(t) for t in element.get("type", ())]:
        kept["type"] = types
    bound = element.get("binding", {})
    if bound.get("strength") == "required" and "valueSet" in bound:
        kept["binding"] = {"strength": "required", "valueSet": bound["valueSet"]}
    wanted = ("key", "severity", "expression", "human")
    rules = [r for r in element.get("constraint", ()) if r.get("source") not in COPIED_FROM]
    if rules:
        kept["constraint"] = [{k: r[k] for k in wanted if k in r} for r in rules]
    return kept


def _type(declared: Resource) -> Resource:
    return {k: declared[k] for k in ("code", "profile", "targetProfile") if k in declared}
