"""The primitive types: for each a test that tells what is wrong with a JSON value.

https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

import binascii
import math
import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from typing import Any

# None when the value is good, else what is wrong with it.
Test = Callable[[Any], str | None]

LONGEST_STRING = 1024 * 1024
_YEAR = r"(?!0000)\d{4}"
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?"
_ZONE = r"(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))"

# Characters that XML, and so FHIR, has no place for.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_CODE = re.compile(r"[^\s]+(?:\s[^\s]+)*", re.ASCII)
_SPACE = re.compile(r"\s")
_DATE = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?", re.ASCII)
_DATE_TIME = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_TIME}{_ZONE})?)?)?", re.ASCII)
_INSTANT = re.compile(rf"{_YEAR}-{_MONTH}-{_DAY}T{_TIME}{_ZONE}", re.ASCII)
_TIME_OF_DAY = re.compile(_TIME, re.ASCII)
_ZONELESS = re.compile(rf"{_YEAR}-{_MONTH}-{_DAY}T{_TIME}", re.ASCII)
_OID = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9]\d*))+", re.ASCII)
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def _string(value: Any) -> str | None:
    if type(value) is not str:
        return "must be a JSON string"
    if not value:
        return "must not be empty"
    if len(value) > LONGEST_STRING:
        return "is longer than 1 MB"
    # Printable text, the usual case, is told apart at C speed.
    if not value.isprintable() and _CONTROL.search(value):
        return "has a control character"
    return None


def _matching(pattern: re.Pattern[str], complaint: str) -> Test:
    match = pattern.fullmatch

    def test(value: Any) -> str | None:
        if type(value) is str:
            return None if match(value) else (complaint if value else "must not be empty")
        return "must be a JSON string"

    return test


def _real_day(text: str) -> bool:
    """29 to 31 need a look at the calendar."""
    if len(text) < 10 or text[8:10] < "29":
        return True
    return int(text[8:10]) <= monthrange(int(text[:4]), int(text[5:7]))[1]


def _calendar(pattern: re.Pattern[str], kind: str) -> Test:
    match = pattern.fullmatch

    def test(value: Any) -> str | None:
        if type(value) is not str:
            return "must be a JSON string"
        if match(value):
            return None if _real_day(value) else f"is not a valid {kind}: there is no such day"
        if kind != "date" and _ZONELESS.fullmatch(value):
            return "has a time, so it must have a timezone"
        return f"is not a valid {kind}"

    return test


def _uri(value: Any) -> str | None:
    wrong = _string(value)
    if wrong is None and _SPACE.search(value):
        return "is a URI, which has no white space"
    if wrong is None and value.startswith(("oid:", "uuid:")):
        return "is a URI, where this is written urn:oid: or urn:uuid:"
    return wrong


def _boolean(value: Any) -> str | None:
    return None if value is True or value is False else "must be true or false"


def _whole(low: int, kind: str) -> Test:
    def test(value: Any) -> str | None:
        if type(value) is not int:
            return "must be a JSON number without a fraction"
        return None if low <= value < 2**31 else f"is out of the range of {kind}"

    return test


def _decimal(value: Any) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if not isinstance(value, float) or math.isfinite(value) else "is not finite"
    return "must be a JSON number"


def _base64(value: Any) -> str | None:
    wrong = _string(value)
    if wrong:
        return wrong
    try:
        binascii.a2b_base64("".join(value.split()), strict_mode=True)
    except ValueError:
        return "is not valid base64"
    return None


TESTS: Mapping[str, Test] = {
    "base64Binary": _base64,
    "boolean": _boolean,
    "canonical": _uri,
    "code": _matching(_CODE, "is not a valid code"),
    "date": _calendar(_DATE, "date"),
    "dateTime": _calendar(_DATE_TIME, "dateTime"),
    "decimal": _decimal,
    "id": _matching(_ID, "is not a valid id: 1 to 64 of A-Z, a-z, 0-9, '-' and '.'"),
    "instant": _calendar(_INSTANT, "instant"),
    "integer": _whole(-(2**31), "integer"),
    "markdown": _string,
    "oid": _matching(_OID, "is not a valid OID"),
    "positiveInt": _whole(1, "positiveInt"),
    "string": _string,
    "time": _matching(_TIME_OF_DAY, "is not a valid time"),
    "unsignedInt": _whole(0, "unsignedInt"),
    "uri": _uri,
    "url": _uri,
    "uuid": _matching(_UUID, "is not a valid UUID"),
    "xhtml": _string,
}
