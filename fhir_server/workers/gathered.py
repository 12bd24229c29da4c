"""What is in the export of a person: as the bytes of a zip, a page of resources at a time.

    README.txt, <Type>.ndjson …, history/<Type>.ndjson …, files/<attachment>/<name> …, manifest.json

Everything is found by the policy's searches, each in the order of ids, which never change, and
laid side by side: so what several of them find is in it once, and nobody has to remember what was.
A resource that changes meanwhile is in it as it was when its page was read.
https://hl7.org/fhir/R4/nd-json.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from fhir_server.communication.attachment_state import (
    CLEAN,
    content_of,
    file_of,
    is_attachment,
    state_of,
)
from fhir_server.communication.gdpr.concerns import Concerns
from fhir_server.communication.gdpr.request import OUTPUT, TYPES, output
from fhir_server.fhir.instant import now_text
from fhir_server.fhir.json import parse
from fhir_server.files import Chunks, FileStore, LostFileError
from fhir_server.files.zipping import Zipping
from fhir_server.interactions import Place, Resource, Stored
from fhir_server.workers.gdpr import Job

# Resources, or versions of one, that are read at once.
PAGE: Final = 100
FILED: Final = "DocumentReference"
_README: Final = """\
What is kept of {subject}, put together from {begun} on.

<Type>.ndjson          one FHIR R4 resource a line: https://hl7.org/fhir/R4/
history/<Type>.ndjson  earlier versions of some of them
files/                 attachments, each in a folder that is called by its DocumentReference's id
manifest.json          how much there is, when and by whom it was asked for, SHA-256 of each file

Everything that was there at that moment is in it, each as it was when it was read: manifest.json
says when the last was. A file that was not found clean is not in it.
"""


@dataclass(frozen=True, slots=True)
class _Part:
    """A file in the zip; `packed` where it would not get any smaller."""

    name: str
    chunks: Chunks
    packed: bool = False


@dataclass(slots=True)
class Gathered:
    """One run; `counts` are the resources of each type so far, `lost` the attachments whose file
    the store does not have."""

    job: Job
    concerns: Concerns
    files: FileStore
    counts: Counter[str] = field(default_factory=Counter)
    versions: int = 0
    attached: int = 0
    lost: list[str] = field(default_factory=list)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The zip."""
        zipping = Zipping(self.job.ctx.now)
        async with aclosing(self._parts(zipping)) as parts:
            async for part in parts:
                async with aclosing(part.chunks) as plain:
                    entry = zipping.entry(part.name, plain, packed=part.packed)
                    async with aclosing(entry) as ready:
                        async for chunk in ready:
                            yield chunk
        yield zipping.end()

    def outputs(self) -> list[Resource]:
        """As entries of `Task.output`."""
        counted = [output(TYPES, t, valueInteger=n) for t, n in sorted(self.counts.items())]
        others = {"versions": self.versions, "files": self.attached}
        return [*counted, *(output(OUTPUT, t, valueInteger=n) for t, n in others.items() if n)]

    async def _parts(self, zipping: Zipping) -> AsyncGenerator[_Part, None]:
        begun = now_text(self.job.ctx.now)
        readme = _README.format(subject=self._subject, begun=begun)
        yield _Part("README.txt", _one(readme.encode()))
        policy = self.concerns.policy
        for type_ in policy.erase.types:
            if lines := await _begun(self._lines(type_)):
                yield _Part(f"{type_}.ndjson", lines)
        for type_ in policy.export.history:
            if lines := await _begun(self._history(type_)):
                yield _Part(f"history/{type_}.ndjson", lines)
        async with aclosing(self._attachments()) as attachments:
            async for part in attachments:
                yield part
        manifest = self._manifest(zipping, begun)
        yield _Part("manifest.json", _one(orjson.dumps(manifest, option=orjson.OPT_INDENT_2)))

    async def _lines(self, type_: str) -> AsyncGenerator[bytes, None]:
        async with aclosing(_pages(self._concerning(type_))) as pages:
            async for page in pages:
                self.counts[type_] += len(page)
                await self.job.tell(self.outputs())
                yield _ndjson(page)

    async def _history(self, type_: str) -> AsyncGenerator[bytes, None]:
        async with aclosing(_pages(self._superseded(type_))) as pages:
            async for page in pages:
                self.versions += len(page)
                await self.job.tell(self.outputs())
                yield _ndjson(page)

    async def _superseded(self, type_: str) -> AsyncGenerator[Stored, None]:
        """Earlier versions, where they concerned the person too."""
        async with aclosing(self._concerning(type_)) as current:
            async for stored in current:
                if stored.version > 1:
                    for version in await self._versions(stored):
                        yield version

    async def _versions(self, stored: Stored) -> list[Stored]:
        asks = replace(self.concerns, threads=_parents(parse(stored.body)))
        found: list[Stored] = []
        place: Place | None = Place([stored.version])
        while place:
            page = await self.job.interactions.history(
                self.job.ctx, stored.type, stored.id, place=place, limit=PAGE
            )
            found += [v for v in page.versions if v.body and asks.concerned(parse(v.body))]
            place = Place([page.versions[-1].version]) if page.more else None
        return found

    async def _attachments(self) -> AsyncGenerator[_Part, None]:
        async with aclosing(self._concerning(FILED)) as current:
            async for stored in current:
                resource = parse(stored.body)
                file = file_of(resource)
                if file is None or not is_attachment(resource) or state_of(resource) != CLEAN:
                    continue
                try:
                    chunks = await _begun(self.files.read(self.job.tenant, file))
                except LostFileError:
                    self.lost.append(stored.reference)
                    continue
                self.attached += 1
                name = content_of(resource).get("title", "content")
                yield _Part(f"files/{stored.id}/{name}", chunks or _one(b""), packed=True)
                await self.job.tell(self.outputs())

    async def _concerning(self, type_: str) -> AsyncGenerator[Stored, None]:
        """What one of the policy's searches finds, each once, in the order of ids."""
        if type_ not in self.concerns.policy.erase.types:
            return
        sparing = self.concerns.policy.erase.types[type_].spare is not None
        searches = [self._found(type_, criteria) for criteria in self.concerns.criteria(type_)]
        async with aclosing(_merged(searches)) as merged:
            async for stored in merged:
                if not (sparing and self.concerns.spared(parse(stored.body))):
                    yield stored

    async def _found(
        self, type_: str, criteria: Iterable[tuple[str, str]]
    ) -> AsyncGenerator[Stored, None]:
        asked = [*criteria, ("_sort", "_id"), ("_count", str(PAGE))]
        cursor: str | None = ""
        while cursor is not None:
            at = [("_cursor", cursor)] if cursor else []
            page = await self.job.interactions.search(self.job.ctx, type_, [*asked, *at])
            for stored in page.matches:
                yield stored
            cursor = page.next or None

    @property
    def _subject(self) -> str:
        return f"{self.job.subject.type}/{self.job.subject.id}"

    def _manifest(self, zipping: Zipping, begun: str) -> dict[str, Any]:
        """What is in the zip besides it."""
        request = self.job.request
        return {
            "request": f"Task/{self.job.id}",
            "subject": self._subject,
            "requestedBy": request.get("requester"),
            "requestedAt": request.get("authoredOn"),
            "begun": begun,
            "ended": now_text(self.job.ctx.now),
            "counts": dict(sorted(self.counts.items())),
            "versions": self.versions,
            "files": [
                {"name": e.name, "size": e.size, "sha256": e.sha256} for e in zipping.entries
            ],
            "lost": self.lost,
        }


async def _merged(streams: Sequence[AsyncGenerator[Stored, None]]) -> AsyncGenerator[Stored, None]:
    """All of them in the order of ids, each once; each stream is in that order."""
    try:
        heads = [(stream, await anext(stream, None)) for stream in streams]
        last = ""
        while ahead := [(one.id, n) for n, (_, one) in enumerate(heads) if one]:
            _, n = min(ahead)
            stream, found = heads[n]
            heads[n] = stream, await anext(stream, None)
            if found and found.id != last:
                last = found.id
                yield found
    finally:
        for stream in streams:
            await stream.aclose()


async def _pages(stream: AsyncGenerator[Stored, None]) -> AsyncGenerator[list[Stored], None]:
    page: list[Stored] = []
    async with aclosing(stream):
        async for stored in stream:
            page.append(stored)
            if len(page) >= PAGE:
                yield page
                page = []
    if page:
        yield page


async def _begun(stream: Chunks) -> Chunks | None:
    """The stream with its first chunk at hand; None where there is none."""
    first = await anext(stream, None)
    return None if first is None else _after(first, stream)


async def _after(first: bytes, rest: Chunks) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


async def _one(chunk: bytes) -> AsyncGenerator[bytes, None]:
    yield chunk


def _ndjson(page: Iterable[Stored]) -> bytes:
    return b"".join(stored.body + b"\n" for stored in page)


def _parents(resource: Resource) -> list[str]:
    """The threads that make its earlier versions concern whom this one concerns."""
    return [str(one.get("reference")) for one in resource.get("partOf", ())]
