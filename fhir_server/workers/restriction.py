"""Restricts the processing of a patient's data, and lifts that, for a request under the GDPR.

The patient comes first: from then on no thread about her is opened, so those that a search finds
afterwards are all there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from fhir_server.communication.gdpr.request import COMPLETED, FAILED, TYPES, output
from fhir_server.communication.thread import PROFILE
from fhir_server.fhir.json import parse
from fhir_server.interactions import Interactions, Resource, Stored
from fhir_server.workers.gdpr import Job, Outcome

# Threads that are read at once.
PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Labeller:
    """The handler of requests with the code restrict, or lift: `change` sets the label, or takes
    it away."""

    interactions: Interactions
    change: Callable[[Resource], Resource]

    async def __call__(self, job: Job) -> Outcome:
        """Failed where the patient is there no more."""
        found: Counter[str] = Counter()
        patients = [("_id", job.subject.id)]
        threads = [("subject", f"Patient/{job.subject.id}"), ("_profile", PROFILE)]
        for type_, criteria in (("Patient", patients), ("Communication", threads)):
            async for stored in self._found(job, type_, criteria):
                await self._change(job, stored)
                found[type_] += 1
                await job.tell(_outputs(found))
        return Outcome(COMPLETED if found["Patient"] else FAILED, _outputs(found))

    async def _change(self, job: Job, stored: Stored) -> None:
        resource: Resource = parse(stored.body)
        if self.change(resource) != resource:
            await self.interactions.patch(job.ctx, stored.type, stored.id, self.change)

    async def _found(
        self, job: Job, type_: str, criteria: list[tuple[str, str]]
    ) -> AsyncIterator[Stored]:
        cursor: str | None = ""
        while cursor is not None:
            at = [("_cursor", cursor)] if cursor else []
            asked = [*criteria, ("_sort", "_id"), ("_count", str(PAGE)), *at]
            page = await self.interactions.search(job.ctx, type_, asked)
            for stored in page.matches:
                yield stored
            cursor = page.next or None


def _outputs(found: Counter[str]) -> list[Resource]:
    return [output(TYPES, type_, valueInteger=n) for type_, n in sorted(found.items())]
