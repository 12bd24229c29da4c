"""What stretch of time a FHIR date, dateTime or instant stands for.

A partial date is the whole of its day, month or year, which is what search and ordering need.
A time without a zone (FHIR allows it in search values only) is read as UTC.
https://hl7.org/fhir/R4/datatypes.html#dateTime, https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_TEXT = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(?:[01]\d|2[0-3]):\d\d(:\d\d(?:\.(\d+))?)?"
    r"(Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))?)?)?)?",
    re.ASCII,
)
_MINUTE, _SECOND, _DAY = timedelta(minutes=1), timedelta(seconds=1), timedelta(days=1)
_LAST = datetime.max.replace(tzinfo=UTC)


def interval(text: str) -> tuple[datetime, datetime]:
    """The half-open UTC interval [low, high) that `text` covers; ValueError if no real date."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError("not a FHIR date, dateTime or instant")
    year, month, day, second, fraction, zone = found.groups()
    if len(text) <= len("2024-01-31"):
        return _days(int(year), int(month or 0), int(day or 0))
    local = datetime.fromisoformat(text)
    try:
        low = local.astimezone(UTC) if zone else local.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("date out of range") from None
    return low, _after(low, _width(second, fraction))


def now_text(moment: datetime) -> str:
    """`moment` (aware) as an instant in UTC with milliseconds: 2026-01-31T09:05:07.120Z."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _days(year: int, month: int, day: int) -> tuple[datetime, datetime]:
    low = datetime(year, month or 1, day or 1, tzinfo=UTC)
    if day:
        return low, _after(low, _DAY)
    following = (year, month + 1) if month and month < 12 else (year + 1, 1)
    if following[0] > 9999:
        return low, _LAST
    return low, datetime(following[0], following[1], 1, tzinfo=UTC)


def _width(second: str | None, fraction: str | None) -> timedelta:
    if fraction:
        return timedelta(microseconds=10 ** max(0, 6 - len(fraction)))
    return _SECOND if second else _MINUTE


def _after(low: datetime, width: timedelta) -> datetime:
    try:
        return low + width
    except OverflowError:
        return _LAST
