"""A question as it is put to a terminology server, which does not know what is declared here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_server.terminology.arguments import Arguments, parameters

Json = dict[str, Any]
SUBJECT: Final[Mapping[str, str]] = {
    "ValueSet": "valueSet",
    "CodeSystem": "codeSystem",
    "ConceptMap": "conceptMap",
}
# What is not a string.
KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("url", "system", "source", "target", "targetsystem"), "Uri"),
    **dict.fromkeys(("code", "displayLanguage", "property"), "Code"),
    **dict.fromkeys(("offset", "count"), "Integer"),
    **dict.fromkeys(("abstract", "activeOnly", "excludeNested", "excludeNotForUI"), "Boolean"),
    **dict.fromkeys(("excludePostCoordinated", "includeDefinition"), "Boolean"),
    **dict.fromkeys(("includeDesignations", "reverse"), "Boolean"),
    "date": "DateTime",
    "coding": "Coding",
    "codeableConcept": "CodeableConcept",
    **dict.fromkeys(SUBJECT.values(), "resource"),
}


def relayed(
    type: str, operation: str, arguments: Arguments, declared: Mapping[str, Any] | None
) -> Json:
    """The in Parameters; what is declared here is sent whole instead of by its url."""
    found = list(_named(arguments))
    if declared is not None:
        found = [one for one in found if one[0] not in ("url", "valueSetVersion")]
        found.append((SUBJECT[type], "resource", dict(declared)))
    if (type, operation) == ("CodeSystem", "validate-code"):
        # Asked for as `system` here too, as for $lookup; by the specification it is the url.
        found = [("url" if n == "system" else n, kind, value) for n, kind, value in found]
    return parameters(*found)


def _named(arguments: Arguments) -> Iterator[tuple[str, str, Any]]:
    for name, given in arguments.given.items():
        kind = KINDS.get(name, "String")
        if kind == "Integer":
            yield name, kind, arguments.number(name)
        elif kind == "Boolean":
            yield name, kind, arguments.flag(name)
        else:
            yield from ((name, kind, value) for value in given)
