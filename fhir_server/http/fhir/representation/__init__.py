"""How answers look and bodies are read: each answer of the face passes here once.

The JSON that the store holds is what most clients ask for: it passes as it is. Only what asks for
another look is taken apart and put together again.
https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/search.html#summary
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir import xml
from fhir_server.fhir.json import dumps, parse
from fhir_server.fhir.subset import elements, summary
from fhir_server.http.fhir.representation import parts
from fhir_server.http.fhir.representation.asked import (
    NAMES,
    PLAIN,
    Presentation,
    bare,
    presentation,
)
from fhir_server.http.fhir.representation.formats import FHIR_JSON, is_xml
from fhir_server.http.wire import Reply, Request
from fhir_server.problems import Problem

__all__ = ["NAMES", "check", "read", "represented"]

Json = dict[str, Any]
INCLUDES: Final = frozenset({"_include", "_revinclude"})
# A stored resource, which may be nested as deep as a body, in an entry of a Bundle.
DEEPEST: Final = 80
# Bytes of a body that takes so long that others are served meanwhile.
LARGE: Final = 256 * 1024


def check(request: Request, types: Iterable[str], *, counts: bool = False) -> None:
    """Refuses what cannot be answered before anything is done: 406 for the format, 400 for the
    rest. `types` are those that are asked for; `counts` whether there is something to count."""
    asked = presentation(request)
    if asked is PLAIN:
        return
    if asked.elements and not _lenient(request):
        parts.check(asked.elements, types)
    if asked.counted and not counts:
        raise Problem(400, "value", "_summary=count is for searches", expression="_summary")
    if asked.mode == "text" and any(_is_include(name) for name, _ in request.parameters()):
        why = "_summary=text and includes exclude each other"
        raise Problem(400, "value", why, expression="_summary")


async def read(body: bytes, content_type: str | None) -> Json:
    """The resource in a body; 415 for another content type, 400 where it is broken."""
    if len(body) > LARGE:
        return await asyncio.to_thread(_read, body, content_type)
    return _read(body, content_type)


def _read(body: bytes, content_type: str | None) -> Json:
    return parse(xml.read(body, r4_shapes()) if is_xml(content_type) else body)


async def represented(reply: Reply, request: Request) -> Reply:
    """The answer as its request asks for it; in JSON where it asks for what there is not."""
    if not reply.body or reply.headers.get("content-type") != FHIR_JSON:
        return reply
    asked = _asked(request)
    if asked is PLAIN:
        return reply
    if len(reply.body) > LARGE:
        return await asyncio.to_thread(_shaped, reply, asked)
    return _shaped(reply, asked)


def _shaped(reply: Reply, asked: Presentation) -> Reply:
    headers = {**reply.headers, "content-type": asked.format.content_type}
    try:
        body = _body(reply, asked)
    except (AttributeError, KeyError, TypeError):
        # What another server answered is passed on without a check.
        why = "the answer is not R4 throughout: there is no other form of it than JSON"
        raise Problem(406, "not-supported", why) from None
    return replace(reply, body=body, headers=headers)


def _asked(request: Request) -> Presentation:
    """What is refused is refused in the format that was asked for, if there is such a one."""
    for asked in (presentation, bare):
        try:
            return asked(request)
        except Problem:
            continue
    return PLAIN


def _body(reply: Reply, asked: Presentation) -> bytes:
    partial = asked.partial and reply.status == 200
    if not (partial or asked.pretty or asked.format.xml):
        return reply.body
    tree = parse(reply.body, DEEPEST)
    if partial:
        tree = _partial(tree, asked, whole="etag" in reply.headers)
    if asked.format.xml:
        return xml.write(tree, r4_shapes(), pretty=asked.pretty)
    return dumps(tree, pretty=asked.pretty)


def _partial(tree: Json, asked: Presentation, *, whole: bool) -> Json:
    """A part of the resource, or of those in a Bundle that was made for the answer."""
    if whole or tree["resourceType"] != "Bundle":
        return _part(tree, asked, matched=True)
    entries = [_entry(entry, asked) for entry in tree.get("entry", ())]
    return {**tree, "entry": entries} if entries else tree


def _entry(entry: Json, asked: Presentation) -> Json:
    mode = entry.get("search", {}).get("mode", "match")
    if "resource" not in entry or mode == "outcome":
        return entry
    return {**entry, "resource": _part(entry["resource"], asked, matched=mode == "match")}


def _part(resource: Json, asked: Presentation, *, matched: bool) -> Json:
    shapes = r4_shapes()
    if asked.mode is not None:
        return summary(resource, asked.mode, shapes)
    # What is included is left whole unless its type is named.
    wanted = parts.wanted(asked.elements, resource["resourceType"], asked_for=matched)
    return resource if wanted is None else elements(resource, wanted, shapes)


def _lenient(request: Request) -> bool:
    return "handling=lenient" in (request.header("prefer") or "").replace(" ", "").lower()


def _is_include(name: str) -> bool:
    return name.partition(":")[0] in INCLUDES
