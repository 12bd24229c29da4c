"""Logical ids: time-ordered, so that the newest rows stay together in every index.

https://hl7.org/fhir/R4/datatypes.html#id, https://www.rfc-editor.org/rfc/rfc9562#section-5.7
"""

from __future__ import annotations

import re
import secrets
import time

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_UUID_MASK = (0x7 << 76) | (0b10 << 62)


def new_id() -> str:
    """A UUIDv7 as text: 48 bits of milliseconds since 1970, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    number = milliseconds << 80 | (random >> 62) << 64 | random & (1 << 62) - 1 | _UUID_MASK
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None
