"""Which versions of a history are wanted, by time. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fhir_server.store.values.dates import BEGINNING, END


@dataclass(frozen=True, slots=True)
class Span:
    """Versions made at `since` or later that were in force at some time in [`low`, `high`)."""

    since: datetime = BEGINNING
    low: datetime = BEGINNING
    high: datetime = END

    @property
    def bounded(self) -> bool:
        """Whether it matters until when a version was in force."""
        return (self.low, self.high) != (BEGINNING, END)


ALWAYS = Span()
