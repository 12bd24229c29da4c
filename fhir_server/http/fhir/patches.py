"""The patch in a request's body, by its content type."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.json import parse, parse_list
from fhir_server.fhir.patch import Change, fhirpath_patch, json_patch, merge_patch
from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.representation.formats import FHIR_JSON, FHIR_XML, NAMES
from fhir_server.http.wire import media_type
from fhir_server.interactions import Interactions, Resource
from fhir_server.problems import Problem

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
ACCEPTED = f"{JSON_PATCH}, {FHIR_JSON}, {FHIR_XML}, {MERGE_PATCH}"
# Says nothing about the kind of patch; the body does.
PLAIN = "application/json"


async def asked(call: Call, interactions: Interactions) -> tuple[Any, Callable[[Any], Change]]:
    """The patch, and what it does to a resource; 415 for another content type, 400 where it is
    broken, 422 where it is not the Parameters that R4 defines."""
    kind = media_type(call.request.header("content-type"))
    if kind == JSON_PATCH:
        operations = parse_list(await call.request.body())
        return operations, partial(json_patch, largest=call.request.limit)
    if kind == MERGE_PATCH:
        return parse(await call.request.body()), partial(merge_patch, largest=call.request.limit)
    if kind in NAMES:
        body = await call.resource()
        if kind == PLAIN and body.get("resourceType") != "Parameters":
            return body, partial(merge_patch, largest=call.request.limit)
        return body, partial(_fhirpath, interactions, call.request.limit)
    # https://www.rfc-editor.org/rfc/rfc5789#section-2.2
    headers = {"accept-patch": ACCEPTED}
    raise Problem(415, "not-supported", f"a patch must be {ACCEPTED}", headers=headers)


def _fhirpath(interactions: Interactions, largest: int, parameters: Resource) -> Change:
    found = fhirpath_patch(parameters, r4_shapes(), largest=largest)
    interactions.check(parameters)
    return found
