"""ValueSet/$expand. https://hl7.org/fhir/R4/valueset-operation-expand.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from fhir_server.fhir.ids import new_id
from fhir_server.fhir.instant import now_text
from fhir_server.problems import invalid
from fhir_server.store.values.strings import normal
from fhir_server.terminology.arguments import Arguments
from fhir_server.terminology.library import Library, Members
from fhir_server.validation.terminology import Pair

Json = dict[str, Any]
Declared = Mapping[str, Any] | None


def expand(library: Library, arguments: Arguments, declared: Declared) -> Json:
    """The value set with its codes: those that `filter` leaves, from `offset`, `count` at most."""
    value_set, members = subject(library, arguments, declared)
    found = list(_filtered(library, members, arguments.text("filter")))
    offset, count = arguments.number("offset") or 0, arguments.number("count")
    end = None if count is None else offset + count
    expansion: Json = {
        "identifier": f"urn:uuid:{new_id()}",
        "timestamp": now_text(datetime.now(UTC)),
        "total": len(found),
        "offset": offset,
        "parameter": list(_told(arguments)),
        "contains": [_contained(*one) for one in found[offset:end]],
    }
    expansion = {key: value for key, value in expansion.items() if value != []}
    whole = arguments.flag("includeDefinition")
    kept = {k: v for k, v in value_set.items() if whole or k not in ("compose", "expansion")}
    return {**kept, "expansion": expansion}


def subject(
    library: Library, arguments: Arguments, declared: Declared
) -> tuple[Mapping[str, Any], Members]:
    """The value set that the request names, or brings along, or that its address is."""
    inline, url = arguments.element("valueSet"), arguments.text("url")
    given = [one for one in (declared, inline, url) if one is not None]
    if len(given) != 1:
        raise invalid("one of url and valueSet is required, or the address of a value set")
    if url is not None:
        return library.value_set(url, arguments.text("valueSetVersion"))
    whole = declared if declared is not None else inline or {}
    if whole.get("resourceType") != "ValueSet":
        raise invalid("valueSet must be a ValueSet", "valueSet")
    return whole, library.members(whole)


def _filtered(
    library: Library, members: Members, text: str | None
) -> Iterator[tuple[Pair, str | None]]:
    """Codes whose code or display has every word of the text."""
    words = normal(text or "").split()
    for pair in members.pairs:
        display = library.display(pair, members)
        seen = normal(f"{pair[1]} {display or ''}")
        if all(word in seen for word in words):
            yield pair, display


def _told(arguments: Arguments) -> Iterator[Json]:
    if (text := arguments.text("filter")) is not None:
        yield {"name": "filter", "valueString": text}
    for name in ("offset", "count"):
        if (number := arguments.number(name)) is not None:
            yield {"name": name, "valueInteger": number}


def _contained(pair: Pair, display: str | None) -> Json:
    system, code = pair
    return {"system": system, "code": code, **({"display": display} if display else {})}
