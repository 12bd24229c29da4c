"""Logical ids: time-ordered, so that the newest rows stay together in every index.

https://hl7.org/fhir/R4/datatypes.html#id, https://www.rfc-editor.org/rfc/rfc9562#section-5.7
"""

from __future__ import annotations

import re
import secrets
import time

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
# Random hexadecimal digits that one id takes; the first one after the variant's two bits.
_DIGITS = 20
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def new_id() -> str:
    """A UUIDv7 as text: 48 bits of milliseconds since 1970, then 74 random bits."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """Several of this millisecond."""
    time_part = f"{time.time_ns() // 1_000_000:012x}"
    head = f"{time_part[:8]}-{time_part[8:]}-7"
    random = secrets.token_hex(_DIGITS // 2 * count)
    return [
        f"{head}{random[at : at + 3]}-{_VARIANT[random[at + 3]]}{random[at + 4 : at + 7]}"
        f"-{random[at + 7 : at + 19]}"
        for at in range(0, _DIGITS * count, _DIGITS)
    ]


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None
