"""Dates, times, periods and timings as half-open intervals of time.

https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from fhir_server.fhir.instant import interval

Interval = tuple[datetime, datetime]

# Ends of time for open periods, a few days inside what every time zone can show.
BEGINNING = datetime(1, 1, 3, tzinfo=UTC)
END = datetime(9999, 12, 29, tzinfo=UTC)


def intervals(element: object) -> Iterator[Interval]:
    """The stretches of time that a date, Period or Timing covers; none where it is no date."""
    if isinstance(element, str):
        yield from _text(element)
    elif isinstance(element, dict):
        if "start" in element or "end" in element:
            yield from _period(element)
        for event in element.get("event", ()):
            yield from _text(event)


def clamped(moment: datetime) -> datetime:
    """`moment` inside what the database and every time zone can show."""
    return min(max(moment, BEGINNING), END)


def _text(text: str) -> Iterator[Interval]:
    try:
        low, high = interval(text)
    except ValueError:
        return
    yield clamped(low), clamped(high)


def _period(element: dict[str, str]) -> Iterator[Interval]:
    starts = list(_text(element["start"])) if "start" in element else [(BEGINNING, BEGINNING)]
    ends = list(_text(element["end"])) if "end" in element else [(END, END)]
    if starts and ends:
        yield starts[0][0], ends[0][1]
