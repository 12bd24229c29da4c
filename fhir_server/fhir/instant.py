"""What stretch of time a FHIR date, dateTime or instant stands for.

A partial date is the whole of its day, month or year, which is what search and ordering need.
A time without a zone (FHIR allows it in search values only) is read as UTC.
https://hl7.org/fhir/R4/datatypes.html#dateTime, https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_TEXT = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?"
    r"(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_MINUTE, _SECOND, _DAY = timedelta(minutes=1), timedelta(seconds=1), timedelta(days=1)
_LAST = datetime.max.replace(tzinfo=UTC)


def interval(text: str) -> tuple[datetime, datetime]:
    """The half-open UTC interval [low, high) that `text` covers; ValueError if no real date."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError("not a FHIR date, dateTime or instant")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if hour is None:
        return _days(int(year), int(month or 0), int(day or 0))
    micros = int(f"{fraction:0<6.6}") if fraction else 0
    try:
        local = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micros,
            tzinfo=_zone(zone),
        )  # fmt: skip
        low = local.astimezone(UTC)
    except OverflowError:
        raise ValueError("date out of range") from None
    return low, _after(low, _width(second, fraction))


def now_text(moment: datetime) -> str:
    """`moment` (aware) as an instant in UTC with milliseconds: 2026-01-31T09:05:07.120Z."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='milliseconds')}Z"


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


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError("time zone out of range")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
