"""What R4 says of a Bundle as a whole, in words rather than constraints.

https://hl7.org/fhir/R4/bundle.html, https://hl7.org/fhir/R4/narrative.html#linking
"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.fhir.reference import parse
from fhir_server.validation import document
from fhir_server.validation.objects import objects
from fhir_server.validation.place import Place
from fhir_server.validation.run import Json, Run

NARRATIVE_LINK = "http://hl7.org/fhir/StructureDefinition/narrativeLink"
_ID = re.compile(r"""\sid\s*=\s*(?:"([^"]*)"|'([^']*)')""")


def check(bundle: Json, at: Place, run: Run) -> None:
    _check_links(bundle, at, run)
    for index, entry in objects(bundle, "entry"):
        resource = entry.get("resource")
        held = resource if isinstance(resource, dict) else {}
        _check_full_url(entry.get("fullUrl"), held, (at, "entry", index), run)
        for _, extension in objects(held, "extension"):
            if extension.get("url") == NARRATIVE_LINK:
                _check_narrative_link(extension, bundle, at, run)
    if bundle.get("type") == "document":
        document.check(bundle, at, run)


def _check_full_url(url: Any, resource: Json, at: Place, run: Run) -> None:
    """It is absolute, and does not contradict the type and id of the resource."""
    if not isinstance(url, str):
        return
    place = (at, "fullUrl", None)
    if ":" not in url:
        run.error("invalid", "The fullUrl must be an absolute URL", place)
        return
    named = parse(url)
    type_name, id_ = resource.get("resourceType"), resource.get("id")
    if named.type in run.resources.resource_types and type_name not in (None, named.type):
        run.error("invalid", f"The fullUrl names a {named.type}, the entry has another", place)
    elif named.id and id_ not in (None, named.id):
        run.error("invalid", "The fullUrl does not end with the id of the resource", place)


def _check_links(bundle: Json, at: Place, run: Run) -> None:
    seen: set[Any] = set()
    for index, link in objects(bundle, "link"):
        relation = link.get("relation")
        if isinstance(relation, str):
            if relation in seen:
                text = f"The link relationship type '{relation[:40]}' can only occur once"
                run.error("invalid", text, (at, "link", index))
            seen.add(relation)


def _check_narrative_link(extension: Json, bundle: Json, at: Place, run: Run) -> None:
    """`fullUrl#id` must name one element of that entry's narratives."""
    link = extension.get("valueUrl", extension.get("valueUri"))
    if not isinstance(link, str) or "#" not in link:
        return
    url, _, fragment = link.partition("#")
    entries = [e for _, e in objects(bundle, "entry") if e.get("fullUrl") == url]
    found = sum(_ids(entry).count(fragment) for entry in entries)
    if url and not found:
        run.error("not-found", "A narrative link names nothing in the bundle", at)
    elif found > 1:
        run.error("invalid", f"A narrative link names {found} elements in the bundle", at)


def _ids(value: Any) -> list[str]:
    """The ids in the XHTML of a resource."""
    if isinstance(value, dict):
        div = value.get("div")
        mine = [a or b for a, b in _ID.findall(div)] if isinstance(div, str) else []
        return mine + [found for item in value.values() for found in _ids(item)]
    return [found for item in value for found in _ids(item)] if isinstance(value, list) else []


def members(container: Json) -> frozenset[str]:
    """`Type/id` and fullUrl of everything in a Bundle or in Parameters."""
    found: set[str] = set()
    _gather(container, found)
    return frozenset(found)


def _gather(container: Json, found: set[str]) -> None:
    for name in ("entry", "parameter", "part"):
        for _, one in objects(container, name):
            if isinstance(one.get("fullUrl"), str):
                found.add(one["fullUrl"])
            resource = one.get("resource")
            if isinstance(resource, dict):
                found.add(f"{resource.get('resourceType')}/{resource.get('id')}")
                _gather(resource, found)
            _gather(one, found)
