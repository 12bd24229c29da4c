"""What the bench stores: care-team threads about patients, of the shape the pipeline gives them.

A patient has four threads of 25 Communications (the header and 24 messages). Time runs across
all threads, so a patient's rows lie scattered in the table, as they do in life.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.fhir.instant import now_text

Resource = dict[str, Any]

TENANT = "bench"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PACE = timedelta(seconds=10)
PER_THREAD = 25
PER_PATIENT = 4 * PER_THREAD
CLINICIANS = 100
WORDS = "Please look at the latest potassium before rounds, and call me when the drain is out."
PROFILES = "https://fhir.ghasi.af/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class Corpus:
    """`size` Communications, a multiple of 100, of `size / 100` patients."""

    size: int

    @property
    def patients(self) -> int:
        return self.size // PER_PATIENT

    @property
    def threads(self) -> int:
        return self.size // PER_THREAD

    def directory(self) -> Iterator[Resource]:
        """Those who write and those who are written about."""
        for n in range(CLINICIANS):
            yield _stamped(clinician(n), "Practitioner", BEGIN, None, {"active": True})
        for n in range(self.patients):
            name = [{"use": "official", "family": f"Family{n}", "given": ["Given"]}]
            body = {"active": True, "name": name, "gender": "female", "birthDate": "1980-01-01"}
            yield _stamped(patient(n), "Patient", BEGIN, None, body)

    def communications(self) -> Iterator[Resource]:
        """Headers first, then round after round of one message in each thread."""
        return (self.communication(n) for n in range(self.size))

    def communication(self, n: int) -> Resource:
        """The n-th in order of time."""
        return self.thread(n) if n < self.threads else self._message(n)

    def id(self, n: int) -> str:
        """The n-th one's id, ordered by time as the server's own are."""
        milliseconds = int((BEGIN + n * PACE).timestamp() * 1000)
        return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7000-8000-{n:012x}"

    def threads_of(self, member: int) -> list[str]:
        """The ids of the threads that a clinician takes part in."""
        return [self.id(t) for t in range(self.threads) if member in _members(t)]

    def thread(self, t: int) -> Resource:
        """The header of the t-th thread."""
        sent = BEGIN + t * PACE
        body = {
            "status": "in-progress",
            "subject": _to("Patient", patient(t % self.patients)),
            "topic": {"text": f"Care plan {t}"},
            "recipient": [_to("Practitioner", clinician(m)) for m in _members(t)],
            "sent": now_text(sent),
            "sender": _to("Practitioner", clinician(_members(t)[0])),
        }
        return _stamped(self.id(t), "Communication", sent, "comm-thread", body)

    def _message(self, n: int) -> Resource:
        turn, t = divmod(n, self.threads)
        sent = BEGIN + n * PACE
        members = [_to("Practitioner", clinician(m)) for m in _members(t)]
        sender = members[turn % len(members)]
        body = {
            "status": "in-progress",
            "partOf": [_to("Communication", self.id(t))],
            "payload": [{"contentString": f"{WORDS} ({n})"}],
            "sent": now_text(sent),
            "sender": sender,
            "priority": "routine",
            "recipient": [member for member in members if member != sender],
            "subject": _to("Patient", patient(t % self.patients)),
        }
        return _stamped(self.id(n), "Communication", sent, "comm-message", body)


def patient(n: int) -> str:
    """The n-th patient's id."""
    return f"p{n:06d}"


def clinician(n: int) -> str:
    """The n-th clinician's id."""
    return f"c{n:03d}"


def _members(t: int) -> tuple[int, int, int]:
    return t % CLINICIANS, (t + 1) % CLINICIANS, (t + 7) % CLINICIANS


def _to(resource_type: str, id: str) -> Resource:
    return {"reference": f"{resource_type}/{id}"}


def _stamped(
    id: str, resource_type: str, updated: datetime, profile: str | None, body: Resource
) -> Resource:
    profiles = {"profile": [PROFILES + profile]} if profile else {}
    meta = {**profiles, "versionId": "1", "lastUpdated": now_text(updated)}
    return {"resourceType": resource_type, "id": id, "meta": meta, **body}
