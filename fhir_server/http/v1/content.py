"""Routes whose body or answer is a file: the bytes pass by, and the headers keep browsers safe.

A download is never shown in the page's own name: it is an attachment (RFC 6266) of a type that is
on a short list, not to be guessed again (nosniff), run (CSP sandbox) or kept by a cache.
https://cheatsheetseries.owasp.org/cheatsheets/File_Upload_Cheat_Sheet.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import quote

from fhir_server.files import Chunks, FileStore, LostFileError
from fhir_server.files.kinds import KINDS
from fhir_server.http.v1.errors import CONTENT
from fhir_server.http.v1.ranges import Span, asked_span
from fhir_server.http.v1.request import OFFSET
from fhir_server.http.wire import Reply, Request, is_length, media_type
from fhir_server.interactions import Interactions
from fhir_server.mapping.calls import Call
from fhir_server.mapping.content import Content
from fhir_server.mapping.receipt import Described, Incoming
from fhir_server.mapping.route import Route
from fhir_server.problems import Problem, invalid, not_found

OCTETS = "application/octet-stream"
# What may be uploaded, and what the server makes itself.
GIVEN = frozenset({*KINDS, "application/zip"})
SAFE = {
    "cache-control": "private, no-store",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_PLAIN = re.compile(r"[^A-Za-z0-9 ._()-]")


@dataclass(frozen=True, slots=True)
class Contents:
    """Takes in and gives out the bytes of resources; `uploaded` is told the tenant of what came."""

    interactions: Interactions
    files: FileStore
    uploaded: Callable[[str], None]

    async def reply(self, request: Request, route: Route, call: Call) -> Reply:
        """What the route does with the bytes of what it addresses."""
        content = Content(self.interactions, self.files, route, call)
        match route.declared.content:
            case "upload":
                moved = await content.upload(_incoming(request, "repr-digest", "content-digest"))
            case "append":
                moved = await content.append(_incoming(request, "repr-digest"), _offset(request))
            case "progress":
                answer = await content.progress()
                return Reply(answer.status, answer.body, CONTENT)
            case _:
                return await self._download(request, content)
        if moved.complete:
            self.uploaded(call.ctx.tenant)
        headers = {**CONTENT, OFFSET.lower(): str(moved.offset)}
        return Reply(moved.answer.status, moved.answer.body, headers)

    async def _download(self, request: Request, content: Content) -> Reply:
        """The bytes, or the one range of them that was asked for."""
        described, call = await content.download(), content.call
        headers = _headers(described)
        span = asked_span(request, described.size, headers["etag"])
        if span is None:
            whole = Span(0, described.size)
            stream = await self._stream(call, described, whole)
            return Reply(200, b"", headers, stream=stream, length=whole.size)
        headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{described.size}"
        stream = await self._stream(call, described, span)
        return Reply(206, b"", headers, stream=stream, length=span.size)

    async def _stream(
        self, call: Call, described: Described, span: Span
    ) -> AsyncGenerator[bytes, None]:
        """Begun, so that what is lost is told before the answer is."""
        stream = self.files.read(call.ctx.tenant, described.file or "", span.start, span.stop)
        try:
            return await begun(stream)
        except LostFileError:
            raise not_found("the content") from None


async def begun(stream: Chunks) -> AsyncGenerator[bytes, None]:
    """The same stream, whose first piece is there: what speaks against it is raised now."""
    return _after(await anext(stream, b""), stream)


async def _after(first: bytes, rest: Chunks) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


def _incoming(request: Request, *digests: str) -> Incoming:
    """The body, not read yet, and what its headers say."""
    type_ = media_type(request.header("content-type")) or None
    return Incoming(request.chunks(), type_, _length(request), _digest(request, digests))


def _offset(request: Request) -> int:
    text = request.header(OFFSET.lower()) or ""
    if not is_length(text):
        raise invalid(f"{OFFSET} says where this part begins, in bytes", OFFSET)
    return int(text)


def _headers(described: Described) -> dict[str, str]:
    return {
        **SAFE,
        "accept-ranges": "bytes",
        "content-type": described.type if described.type in GIVEN else OCTETS,
        "content-disposition": disposition(described.name),
        "etag": f'"{described.sha256}"',
    }


def disposition(name: str) -> str:
    """https://www.rfc-editor.org/rfc/rfc6266#section-4.3, with a plain name for old clients."""
    plain = _PLAIN.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _length(request: Request) -> int | None:
    text = request.header("content-length")
    if text is None and request.header("transfer-encoding") is None:
        why = "the length of the content is missing"
        raise Problem(411, "required", why, v1_code="VALIDATION_ERROR")
    if text is not None and not is_length(text):
        raise invalid("Content-Length is not a number", "Content-Length")
    return None if text is None else int(text)


def _digest(request: Request, names: Sequence[str]) -> str | None:
    """The SHA-256 of the whole, in hexadecimal: https://www.rfc-editor.org/rfc/rfc9530#section-3"""
    text = next(filter(None, map(request.header, names)), None)
    if text is None or "sha-256=" not in text:
        return None
    found = _SHA256.search(text)
    if found is None:
        raise invalid("the digest is not sha-256=:base64:", "Repr-Digest")
    try:
        return base64.b64decode(found[1], validate=True).hex()
    except binascii.Error:
        raise invalid("the digest is not sha-256=:base64:", "Repr-Digest") from None
