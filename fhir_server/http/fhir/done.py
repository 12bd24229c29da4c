"""What a write answers, and how much of it the client prefers to see.

https://hl7.org/fhir/R4/http.html#ops
"""

from __future__ import annotations

from fhir_server.fhir.outcome import of_issues
from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.replies import json_reply, resource_reply
from fhir_server.http.wire import Reply
from fhir_server.interactions import Result
from fhir_server.problems import Issue, Problem


def written(call: Call, result: Result) -> Reply:
    """201 or 200 with Location, ETag, Last-Modified and the resource, unless the client prefers
    less, or an OperationOutcome."""
    stored = result.stored
    if stored is None:
        raise Problem(500, "exception", "nothing was written")
    wanted = call.preference("return")
    whole = resource_reply(stored, 201 if result.created else 200, body=wanted != "minimal")
    version = f"{call.type}/{stored.id}/_history/{stored.version}"
    body = _said(f"{version} is stored").body if wanted == "operationoutcome" else whole.body
    headers = {**whole.headers, "location": f"{call.base}/{version}"}
    return Reply(whole.status, body, headers, stored.updated)


def deleted(call: Call, result: Result) -> Reply:
    """204 with the ETag of the deletion; 200 with an OperationOutcome where the client prefers
    one, or left open how many matches were to go."""
    headers = {"etag": f'W/"{result.stored.version}"'} if result.stored else {}
    wanted = call.preference("return")
    counted = "_count" in dict(call.request.query()) and wanted != "minimal"
    if wanted != "operationoutcome" and not counted:
        return Reply(204, b"", headers)
    said = _said(_count(result))
    return Reply(said.status, said.body, {**said.headers, **headers})


def _count(result: Result) -> str:
    count = max(result.deleted, 1 if result.stored else 0)
    left = "; there are more matches" if result.more else ""
    return f"{count} {'resource was' if count == 1 else 'resources were'} deleted{left}"


def _said(words: str) -> Reply:
    return json_reply(of_issues([Issue("information", "informational", words)]))
