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
# Of an inbox: how many turns of a thread someone may be behind, at most.
BEHIND = 25
WORDS = "Please look at the latest potassium before rounds, and call me when the drain is out."
PROFILES = "https://fhir.ghasi.af/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class Corpus:
    """`size` Communications, a multiple of 100, of `size / 100` patients.

    With `read`, messages bear receipts: a clinician is behind in every second thread, some by
    nothing, some by all of it. With 2,000 clinicians of 1,000,000 Communications, that leaves
    each with 0 to 500 unread ones. `longer` by so many messages is the newest thread, all of them
    read.
    """

    size: int
    clinicians: int = CLINICIANS
    read: bool = False
    longer: int = 0

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"{self.size}{'_read' * self.read}{f'_{self.longer}' * (self.longer > 0)}"

    @property
    def patients(self) -> int:
        return self.size // PER_PATIENT

    @property
    def threads(self) -> int:
        return self.size // PER_THREAD

    @property
    def caller(self) -> int:
        """A clinician who takes part in the newest thread and, with `read`, is behind in some."""
        return 6 if self.read else 0

    def directory(self) -> Iterator[Resource]:
        """Those who write and those who are written about."""
        for n in range(self.clinicians):
            yield _stamped(clinician(n), "Practitioner", BEGIN, None, {"active": True})
        for n in range(self.patients):
            name = [{"use": "official", "family": f"Family{n}", "given": ["Given"]}]
            body = {"active": True, "name": name, "gender": "female", "birthDate": "1980-01-01"}
            yield _stamped(patient(n), "Patient", BEGIN, None, body)

    def communications(self) -> Iterator[Resource]:
        """Headers first, then round after round of one message in each thread."""
        return (self.communication(n) for n in range(self.size + self.longer))

    def communication(self, n: int) -> Resource:
        """The n-th in order of time."""
        return self.thread(n) if n < self.threads else self._message(n)

    def id(self, n: int) -> str:
        """The n-th one's id, ordered by time as the server's own are."""
        milliseconds = int((BEGIN + n * PACE).timestamp() * 1000)
        return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7000-8000-{n:012x}"

    def threads_of(self, member: int) -> list[str]:
        """The ids of the threads that a clinician takes part in."""
        return [self.id(t) for t in range(self.threads) if self.is_in(member, t)]

    def is_in(self, member: int, t: int) -> bool:
        """Whether a clinician takes part in the t-th thread."""
        return member in self._members(t)

    def _members(self, t: int) -> tuple[int, int, int]:
        return t % self.clinicians, (t + 1) % self.clinicians, (t + 7) % self.clinicians

    def thread(self, t: int) -> Resource:
        """The header of the t-th thread."""
        sent = BEGIN + t * PACE
        body = {
            "status": "in-progress",
            "subject": _to("Patient", patient(t % self.patients)),
            "topic": {"text": f"Care plan {t}"},
            "recipient": [_to("Practitioner", clinician(m)) for m in self._members(t)],
            "sent": now_text(sent),
            "sender": _to("Practitioner", clinician(self._members(t)[0])),
        }
        return _stamped(self.id(t), "Communication", sent, "comm-thread", body)

    def _message(self, n: int) -> Resource:
        turn, t = divmod(n, self.threads) if n < self.size else (n % 3, self.threads - 1)
        sent = BEGIN + n * PACE
        numbers = self._members(t)
        members = [_to("Practitioner", clinician(m)) for m in numbers]
        sender = members[turn % len(members)]
        receipts = [
            _receipt(member, sent)
            for m, member in zip(numbers, members, strict=True)
            if self.read and member != sender and turn < PER_THREAD - _behind(m, t)
        ]
        body = {
            **({"extension": receipts} if receipts else {}),
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


def _behind(member: int, t: int) -> int:
    """By how many turns of the thread the member is behind."""
    return member % BEHIND if (t // 7 + member) % 2 else 0


def _receipt(member: Resource, at: datetime) -> Resource:
    reader = {"url": "reader", "valueReference": member}
    return {
        "url": PROFILES + "read-receipt",
        "extension": [reader, {"url": "readAt", "valueInstant": now_text(at)}],
    }


def _to(resource_type: str, id: str) -> Resource:
    return {"reference": f"{resource_type}/{id}"}


def _stamped(
    id: str, resource_type: str, updated: datetime, profile: str | None, body: Resource
) -> Resource:
    profiles = {"profile": [PROFILES + profile]} if profile else {}
    meta = {**profiles, "versionId": "1", "lastUpdated": now_text(updated)}
    return {"resourceType": resource_type, "id": id, "meta": meta, **body}
