"""Erases what is kept of a person, batch by batch, for a request under the GDPR.

It goes over everything that concerns the person until a round finds nothing left to do: so what was
written while it worked is found as well, and a server that dies leaves nothing to remember. A batch
is one transaction (communication/gdpr/erase.py), in which current version, earlier versions, search
columns and kept answers go together: nobody ever sees half of it.

A file is removed between two transactions: the first takes away everything else and leaves its
name, the second, once it is gone, the name. So there never is a file that nothing names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fhir_server.communication.attachment_state import file_of
from fhir_server.communication.gdpr.concerns import Concerns
from fhir_server.communication.gdpr.erase import Erase, Version, filed
from fhir_server.communication.gdpr.redact import Redactor
from fhir_server.communication.gdpr.request import (
    COMPLETED,
    ON_HOLD,
    OUTPUT,
    TYPES,
    output,
)
from fhir_server.definitions.model import Definitions
from fhir_server.fhir.json import parse
from fhir_server.files import FileStore
from fhir_server.interactions import Asked, Interactions, Ref, Resource, Stored
from fhir_server.interactions.audit.record import of_many
from fhir_server.store import Store
from fhir_server.store.write.erasing import BEGINNING, Mention, mentions, superseded
from fhir_server.workers.gdpr import Job, Outcome

# Resources in one transaction, versions of the history read at once, and words asked for at once.
BATCH: Final = 100
LOOK: Final = 2_000
WORDS: Final = 500
# Held resources that the request lists; all are counted.
LISTED: Final = 100
FILED: Final = "DocumentReference"
# The address of a Binary of this server, wherever it stands in a body.
_BINARY: Final = re.compile(rb'[/"]Binary/([A-Za-z0-9.-]{1,64})["/]')
LEGAL, PART = "legal-hold", "part-held"


@dataclass(slots=True)
class _Found:
    """What rounds found: `threads` grow from round to round; the others begin anew."""

    threads: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    held: dict[str, None] = field(default_factory=dict)
    written: int = 0

    def again(self) -> None:
        self.seen.clear()
        self.counts.clear()
        self.held.clear()
        self.written = 0

    def count(self, ref: Ref) -> None:
        """Once in a round."""
        name = f"{ref.type}/{ref.id}"
        if name not in self.seen:
            self.seen.add(name)
            self.counts[ref.type] += 1

    def outputs(self) -> list[Resource]:
        """As entries of `Task.output`."""
        counted = [output(TYPES, t, valueInteger=n) for t, n in sorted(self.counts.items()) if n]
        if not self.held:
            return counted
        listed = list(self.held)[:LISTED]
        number = output(OUTPUT, "held", valueInteger=len(self.held))
        return [
            *counted,
            number,
            *(output(OUTPUT, "held", valueReference={"reference": one}) for one in listed),
        ]


@dataclass(frozen=True, slots=True)
class Eraser:
    """The handler of requests with the code erase."""

    store: Store
    interactions: Interactions
    files: FileStore
    definitions: Definitions
    redactor: Redactor

    async def __call__(self, job: Job) -> Outcome:
        """Erases; on hold where the person is, or some of what concerns him."""
        found = _Found()
        while True:
            if await self._person_held(job):
                return Outcome(ON_HOLD, hold=LEGAL)
            found.again()
            known = len(found.threads)
            await self._round(job, found)
            if not found.written and len(found.threads) == known:
                break
        if found.held:
            return Outcome(ON_HOLD, found.outputs(), PART)
        return Outcome(COMPLETED, found.outputs())

    async def _person_held(self, job: Job) -> bool:
        asked = [("_id", job.subject.id)]
        page = await self.interactions.search(job.ctx, job.subject.type, asked)
        return any(self.redactor.policy.held(parse(stored.body)) for stored in page.matches)

    async def _round(self, job: Job, found: _Found) -> None:
        concerns = Concerns(self.redactor.policy, self.definitions, job.subject, found.threads)
        for type_ in self.redactor.policy.erase.types:
            searches = [*concerns.criteria(type_)]
            if type_ == "Communication":
                searches += [[("part-of", thread)] for thread in sorted(found.gone)]
            for criteria in searches:
                async for page in self._pages(job, type_, criteria):
                    await self._page(job, found, concerns, page)
            for criteria in concerns.naming(type_):
                async for page in self._pages(job, type_, criteria):
                    await self._names(job, found, page)
        await self._history(job, found, concerns)

    async def _page(
        self, job: Job, found: _Found, concerns: Concerns, page: Sequence[Stored]
    ) -> None:
        refs: list[Ref] = []
        binaries: set[bytes] = set()
        for stored in page:
            resource: Resource = parse(stored.body)
            if _is_thread(resource):
                found.threads.add(stored.reference)
            if stored.reference in found.seen or concerns.spared(resource):
                continue
            found.seen.add(stored.reference)
            if self.redactor.policy.held(resource):
                found.held[stored.reference] = None
                continue
            found.counts[stored.type] += 1
            if not self.redactor.is_redacted(resource):
                refs.append(Ref(stored.type, stored.id))
                binaries |= set(_BINARY.findall(stored.body))
        await self._binaries(job, found, binaries)
        if refs and refs[0].type == FILED:
            await self._filed(job, found, refs)
        elif refs:
            await self._write(job, found, self._plan(job, refs))

    async def _binaries(self, job: Job, found: _Found, named: Collection[bytes]) -> None:
        """The bytes that the resources of a page lead to, as long as they still do."""
        for ids in _chunks(sorted(id.decode() for id in named), BATCH):
            asked = [("_id", ",".join(ids)), ("_count", str(BATCH))]
            page = await self.interactions.search(job.ctx, "Binary", asked)
            refs = []
            for stored in page.matches:
                resource = parse(stored.body)
                if self.redactor.policy.held(resource):
                    found.held[stored.reference] = None
                elif not self.redactor.is_redacted(resource):
                    refs.append(Ref(stored.type, stored.id))
            if refs:
                await self._write(job, found, self._plan(job, refs))

    async def _filed(self, job: Job, found: _Found, refs: Sequence[Ref]) -> None:
        """The words first, then the files, then their names."""
        await self._write(job, found, self._plan(job, refs, filed=True))
        asked = [("_id", ",".join(ref.id for ref in refs)), ("_count", str(BATCH))]
        page = await self.interactions.search(job.ctx, FILED, asked)
        done: list[Ref] = []
        for stored in page.matches:
            resource = parse(stored.body)
            named = filed(resource)
            # What is not redacted now is under hold, or was changed: another round sees to it.
            if self.redactor.redact(resource) | named != resource:
                continue
            if named:
                await self.files.remove(job.tenant, file_of(resource) or "")
                done.append(Ref(stored.type, stored.id))
            await self.files.remove_draft(job.tenant, stored.reference)
        if done:
            await self._write(job, found, self._plan(job, done))

    async def _names(self, job: Job, found: _Found, page: Sequence[Stored]) -> None:
        """Others' resources stay, without what they call the person."""
        refs = []
        for stored in page:
            resource = parse(stored.body)
            if stored.reference in found.seen or self.redactor.policy.held(resource):
                continue
            if self.redactor.unnamed(resource, job.subject) != resource:
                refs.append(Ref(stored.type, stored.id))
        if refs:
            await self._write(job, found, self._plan(job, refs, naming=True))

    async def _history(self, job: Job, found: _Found, concerns: Concerns) -> None:
        """Versions of what was deleted, or no longer concerns the person."""
        ids = [job.subject.id, *sorted(one.partition("/")[2] for one in found.threads)]
        for words in _chunks(ids, WORDS):
            versions: list[Version] = []
            async for mention in self._mentions(job, words):
                version = self._concerned(found, concerns, mention)
                if version:
                    versions.append(version)
                if len(versions) >= BATCH:
                    await self._past(job, found, versions)
                    versions = []
            await self._past(job, found, versions)

    def _concerned(self, found: _Found, concerns: Concerns, mention: Mention) -> Version | None:
        """The version, where it concerns the person and is not erased yet."""
        resource: Resource = parse(mention.body or b"{}")
        if not concerns.concerned(resource):
            return None
        ref = Ref(mention.type, mention.id)
        name = f"{ref.type}/{ref.id}"
        if _is_thread(resource) and name not in found.threads:
            found.threads.add(name)
            found.gone.add(name)
        if name in found.held:
            return None
        if self.redactor.is_redacted(resource):
            found.count(ref)
            return None
        return Version(ref, mention.version, resource)

    async def _past(self, job: Job, found: _Found, versions: Sequence[Version]) -> None:
        held = await self._held(job, {version.ref for version in versions})
        found.held |= {f"{ref.type}/{ref.id}": None for ref in sorted(held)}
        free = [version for version in versions if version.ref not in held]
        for version in free:
            found.count(version.ref)
            if file := filed(version.resource):
                await self.files.remove(job.tenant, file["masterIdentifier"]["value"])
        if free:
            await self._write(job, found, replace(self._plan(job, ()), versions=free))

    async def _held(self, job: Job, refs: Collection[Ref]) -> set[Ref]:
        """Those under hold: by their current version, or the last one before they were deleted."""
        last: dict[Ref, Resource] = {}
        for type_ in {ref.type for ref in refs}:
            ids = sorted(ref.id for ref in refs if ref.type == type_)
            async with self.store.sessions.session(job.ctx) as session:
                versions = await superseded(session, type_, ids)
            for id, _, body in sorted(versions, key=lambda version: version[1]):
                last[Ref(type_, id)] = parse(body)
            asked = [("_id", ",".join(ids)), ("_count", str(BATCH))]
            page = await self.interactions.search(job.ctx, type_, asked)
            last |= {Ref(type_, stored.id): parse(stored.body) for stored in page.matches}
        return {ref for ref, resource in last.items() if self.redactor.policy.held(resource)}

    def _plan(
        self, job: Job, refs: Sequence[Ref], *, naming: bool = False, filed: bool = False
    ) -> Erase:
        request = Ref("Task", job.id)
        return Erase(job.ctx, self.redactor, request, job.subject, refs, naming=naming, filed=filed)

    async def _write(self, job: Job, found: _Found, plan: Erase) -> None:
        ctx, subject = job.ctx, job.subject
        result = await self.interactions.audit.of(
            Asked(ctx, "update", subject.type, subject.id),
            lambda: self.interactions.pipeline.write(ctx, plan),
            lambda result: of_many(f"{subject.type}/{subject.id}", result),
        )
        found.written += result.deleted
        await job.tell(found.outputs())

    async def _pages(
        self, job: Job, type_: str, criteria: Iterable[tuple[str, str]]
    ) -> AsyncIterator[Sequence[Stored]]:
        cursor: str | None = ""
        while cursor is not None:
            at = [("_cursor", cursor)] if cursor else []
            asked = [*criteria, ("_sort", "_id"), ("_count", str(BATCH)), *at]
            page = await self.interactions.search(job.ctx, type_, asked)
            if page.matches:
                yield page.matches
            cursor = page.next or None

    async def _mentions(self, job: Job, words: Sequence[str]) -> AsyncIterator[Mention]:
        """Those versions of the tenant's history that have one of the words."""
        place = BEGINNING
        while True:
            async with self.store.sessions.session(job.ctx) as session:
                page = await mentions(session, words, place, LOOK)
            for mention in page:
                if mention.body is not None:
                    yield mention
            if len(page) < LOOK:
                break
            place = page[-1].type, page[-1].id, page[-1].version


def _is_thread(resource: Resource) -> bool:
    return resource.get("resourceType") == "Communication" and "partOf" not in resource


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[at : at + size] for at in range(0, len(items), size))
