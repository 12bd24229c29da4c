"""Puts together what is kept of a person, for a request under the GDPR, and takes it away again.

The file's name is written down before the file is, and a try begins by removing what the one
before it left: so there never is a file that no request names, whenever the server dies. It is
removed when its days are over, and when the person is erased.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from fhir_server.communication.gdpr.concerns import Concerns
from fhir_server.communication.gdpr.export import (
    FILE,
    Exported,
    exported,
    file_of,
    named,
    until_of,
    without_file,
)
from fhir_server.communication.gdpr.policy import Policy
from fhir_server.communication.gdpr.request import CODE, COMPLETED, OPEN, TYPE, state_of
from fhir_server.definitions.model import Definitions
from fhir_server.fhir.json import parse
from fhir_server.files import FileStore, new_name
from fhir_server.interactions import Interactions, Ref, Stored
from fhir_server.problems import Problem
from fhir_server.workers.gathered import Gathered
from fhir_server.workers.gdpr import Handler, Job, Outcome
from fhir_server.workers.tenants import worker

# Files are looked for so many at a time.
PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class Exporter:
    """The handler of requests with the code export."""

    interactions: Interactions
    files: FileStore
    definitions: Definitions
    policy: Policy

    async def __call__(self, job: Job) -> Outcome:
        """Makes the file, whatever restrictions or holds there are: both keep data."""
        if left := file_of(job.request):
            await self.files.remove(job.tenant, left)
        name = new_name()
        await job.change(lambda seen: named(seen, name))
        concerns = Concerns(self.policy, self.definitions, job.subject, ())
        gathered = Gathered(job, concerns, self.files)
        counted = _Counted()
        async with aclosing(gathered.chunks()) as chunks:
            await self.files.write(job.tenant, counted.of(chunks), name)
        until = job.ctx.now + timedelta(days=self.policy.export.kept)
        export = Exported(job.id, counted.size, counted.sha256.hexdigest(), until)
        await job.change(lambda seen: exported(seen, export))
        return Outcome(COMPLETED, gathered.outputs())

    async def expire(self, tenant: str) -> None:
        """Removes the files whose days are over, and those of requests that came to nothing."""
        async for stored in self._filed(tenant):
            request = parse(stored.body)
            until = until_of(request)
            over = until is None or until < worker(tenant).now
            if over and state_of(request) not in OPEN:
                await self._remove(tenant, stored)

    async def forget(self, tenant: str, subject: Ref) -> None:
        """Removes the files of all exports of that person."""
        async for stored in self._filed(tenant, ("subject", f"{subject.type}/{subject.id}")):
            if state_of(parse(stored.body)) not in OPEN:
                await self._remove(tenant, stored)

    async def _remove(self, tenant: str, stored: Stored) -> None:
        """The file first, then its name."""
        await self.files.remove(tenant, file_of(parse(stored.body)) or "")
        try:
            await self.interactions.patch(worker(tenant), TYPE, stored.id, without_file)
        except Problem as problem:
            # A request that was taken back is closed, and keeps the name of what is gone.
            if problem.status >= 500:
                raise

    async def _filed(self, tenant: str, *criteria: tuple[str, str]) -> AsyncIterator[Stored]:
        """The requests for exports that name a file."""
        asked = [("code", f"{CODE}|export"), ("identifier", f"{FILE}|"), *criteria]
        asked += [("_sort", "_id"), ("_count", str(PAGE))]
        cursor: str | None = ""
        while cursor is not None:
            at = [("_cursor", cursor)] if cursor else []
            page = await self.interactions.search(worker(tenant), TYPE, [*asked, *at])
            for stored in page.matches:
                yield stored
            cursor = page.next or None


def forgetting(erase: Handler, exporter: Exporter) -> Handler:
    """`erase`, and then the copies that were handed over of what is erased."""

    async def handle(job: Job) -> Outcome:
        outcome = await erase(job)
        if outcome.state == COMPLETED:
            await exporter.forget(job.tenant, job.subject)
        return outcome

    return handle


@dataclass(slots=True)
class _Counted:
    """How many bytes passed, and their SHA-256."""

    size: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)

    async def of(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for chunk in chunks:
            self.size += len(chunk)
            self.sha256.update(chunk)
            yield chunk
