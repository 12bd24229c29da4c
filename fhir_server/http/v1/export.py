"""Exports over HTTP: a file to keep, of a length that nobody knows before it ends.

The first page is read before the answer begins, so that a refusal is one. After that, an error cuts
the connection: https://www.rfc-editor.org/rfc/rfc9112#section-8 makes that an incomplete answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fhir_server.http.v1.content import SAFE, begun, disposition
from fhir_server.http.wire import Reply, Request, media_type
from fhir_server.interactions import Interactions
from fhir_server.mapping.calls import Call
from fhir_server.mapping.export import Export, asked_format
from fhir_server.mapping.model import Format
from fhir_server.mapping.route import Route

# https://www.rfc-editor.org/rfc/rfc7111, https://hl7.org/fhir/R4/nd-json.html
TYPES: Mapping[Format, str] = {
    "csv": "text/csv; charset=utf-8; header=present",
    "ndjson": "application/x-ndjson",
    "fhir": "application/fhir+ndjson",
}
# Another name that JSON lines go by.
ALIASES = {"application/ndjson": TYPES["ndjson"]}


async def exported(request: Request, interactions: Interactions, route: Route, call: Call) -> Reply:
    """The file, begun."""
    named = asked_format(route, call)
    format_ = named or accepted(request.header("accept"), route.declared.formats)
    export = Export(interactions, route, call, format_)
    headers = {
        **SAFE,
        "cache-control": "no-store",
        "content-type": TYPES[format_],
        "content-disposition": disposition(export.name),
        "vary": "accept",
    }
    stream = await begun(export.chunks())
    return Reply(route.answered.status, b"", headers, stream=stream, length=None)


def accepted(header: str | None, formats: Sequence[Format]) -> Format:
    """The format that Accept likes best, or the first where it names none of them."""
    liked = dict(_liked(header or ""))
    return max(formats, key=lambda one: liked.get(media_type(TYPES[one]), 0.0))


def _liked(header: str) -> Iterator[tuple[str, float]]:
    """Media types and how much each is liked: https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2"""
    for part in header.split(","):
        kind, _, parameters = part.partition(";")
        name = media_type(kind)
        yield ALIASES.get(name, name), _quality(parameters)


def _quality(parameters: str) -> float:
    for one in parameters.split(";"):
        name, _, value = one.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
