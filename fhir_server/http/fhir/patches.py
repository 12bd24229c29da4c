"""The patch in a request's body, by its content type."""

from __future__ import annotations

from functools import cache

from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.shapes import R4Shapes
from fhir_server.fhir.json import parse, parse_list
from fhir_server.fhir.patch import Change, fhirpath_patch, json_patch
from fhir_server.http.fhir.call import JSON, Call
from fhir_server.http.wire import media_type
from fhir_server.interactions import Interactions
from fhir_server.problems import Problem

JSON_PATCH = "application/json-patch+json"
ACCEPTED = f"{JSON_PATCH}, application/fhir+json"


async def change(call: Call, interactions: Interactions) -> Change:
    """What the patch does to a resource; 415 for another content type, 400 where it is broken,
    422 where it is not the Parameters that R4 defines."""
    kind = media_type(call.request.header("content-type"))
    if kind == JSON_PATCH:
        return json_patch(parse_list(await call.request.body()), largest=call.request.limit)
    if kind in JSON:
        parameters = parse(await call.request.body())
        found = fhirpath_patch(parameters, _shapes(), largest=call.request.limit)
        interactions.check(parameters)
        return found
    # https://www.rfc-editor.org/rfc/rfc5789#section-2.2
    headers = {"accept-patch": ACCEPTED}
    raise Problem(415, "not-supported", f"a patch must be {ACCEPTED}", headers=headers)


@cache
def _shapes() -> R4Shapes:
    return R4Shapes(load_facts())
