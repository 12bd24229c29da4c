"""How one value is written on either side: v1 JSON on the one, a FHIR primitive on the other.

`encode` takes what a client sent and raises `Refused` with words that name no value; `decode`
answers `MISSING` for what v1 has no word for.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fhir_server.fhir.ids import is_id
from fhir_server.fhir.instant import interval

REMEMBERED: Final = 4096
# https://hl7.org/fhir/R4/references.html#literal
_RELATIVE: Final = re.compile(
    r"([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?"
)
# https://hl7.org/fhir/R4/datatypes.html#string
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class Missing:
    """There is nothing to read here."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()


class Refused(ValueError):
    """Why a value was refused; `place` leads to it below the field (`[2].readAt`)."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True, slots=True)
class Codec:
    """`schema` is the JSON Schema of the v1 side."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    schema: Mapping[str, Any]


def _same(raw: Any) -> Any:
    return raw


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Refused("must be a string")
    if not value or value.isspace():
        raise Refused("must not be empty")
    if _CONTROL.search(value):
        raise Refused("must not have control characters")
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise Refused("must be true or false")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise Refused("must be a whole number")
    return value


def _decimal(value: Any) -> float:
    if type(value) not in (int, float):
        raise Refused("must be a number")
    number: float = value
    return number


def _instant(value: Any) -> str:
    text = _text(value)
    try:
        interval(text)
    except ValueError:
        raise Refused("must be a date and time such as 2026-01-31T09:05:07Z") from None
    if "T" not in text or not (text.endswith("Z") or text[-6] in "+-"):
        raise Refused("must have a time and a time zone, such as 2026-01-31T09:05:07Z")
    return text


def _date(value: Any) -> str:
    text = _text(value)
    try:
        interval(text)
    except ValueError:
        raise Refused("must be a date such as 2026-01-31") from None
    return text


def _moment(value: Any) -> str:
    text = _date(value)
    return _instant(text) if "T" in text else text


_STRING = {"type": "string", "minLength": 1}
_INSTANT = Codec(_instant, _same, {"type": "string", "format": "date-time"})
# What a search takes for a date: the whole of a day, month or year, or a moment.
MOMENT: Final = Codec(
    _moment,
    _same,
    {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]},
)
_TEXT = Codec(_text, _same, _STRING)
PRIMITIVES: Mapping[str, Codec] = {
    **dict.fromkeys(
        ("string", "markdown", "code", "uri", "url", "canonical", "id", "base64Binary"), _TEXT
    ),
    **dict.fromkeys(("dateTime", "instant"), _INSTANT),
    **dict.fromkeys(
        ("integer", "positiveInt", "unsignedInt"), Codec(_integer, _same, {"type": "integer"})
    ),
    "decimal": Codec(_decimal, _same, {"type": "number"}),
    "date": Codec(_date, _same, {"type": "string", "format": "date"}),
    "boolean": Codec(_boolean, _same, {"type": "boolean"}),
}


def coded(forward: Mapping[str, str], backward: Mapping[str, str]) -> Codec:
    """A 1:1 map of v1 words to FHIR codes."""
    words = ", ".join(forward)

    def encode(value: Any) -> str:
        code = forward.get(value) if type(value) is str else None
        if code is None:
            raise Refused(f"must be one of {words}")
        return code

    def decode(raw: Any) -> Any:
        return backward.get(raw, MISSING)

    return Codec(encode, decode, {"type": "string", "enum": list(forward)})


def _decoded(raw: Any) -> Any:
    try:
        return b64decode(raw, validate=True).decode()
    except (TypeError, ValueError):
        return MISSING


# A text that FHIR keeps as base64 of its UTF-8.
BASE64: Final = Codec(lambda value: b64encode(_text(value).encode()).decode(), _decoded, _STRING)


def identifier(prefix: str) -> Codec:
    """A v1 id: the prefix and the FHIR id, `thr_0198…`."""

    def encode(value: Any) -> str:
        if (
            type(value) is not str
            or not value.startswith(prefix)
            or not is_id(value[len(prefix) :])
        ):
            raise Refused(f"must be an id that begins with {prefix}")
        return value[len(prefix) :]

    def decode(raw: str) -> str:
        return prefix + raw

    return Codec(encode, decode, _id_schema([prefix]))


def reference(prefixes: Mapping[str, str]) -> Codec:
    """A v1 id for a relative reference: `usr_x` for `Practitioner/x`; `prefixes` by type."""
    types = {prefix: kind for kind, prefix in prefixes.items()}
    words = " or ".join(types)

    def encode(value: Any) -> str:
        if type(value) is str:
            cut = value.find("_") + 1
            kind = types.get(value[:cut])
            if kind and is_id(value[cut:]):
                return f"{kind}/{value[cut:]}"
        raise Refused(f"must be an id that begins with {words}")

    # The same few people stand in every row of a page.
    @lru_cache(maxsize=REMEMBERED)
    def decode(raw: str) -> Any:
        kind, _, rest = raw.partition("/")
        prefix = prefixes.get(kind)
        return prefix + rest if prefix and is_id(rest) else MISSING

    return Codec(encode, decode, _id_schema(types))


def whole_reference(types: Collection[str]) -> Codec:
    """`Type/id` on both sides, of any of `types`, or a version of it: `Type/id/_history/1`."""

    def decode(raw: Any) -> Any:
        found = _RELATIVE.fullmatch(raw) if type(raw) is str else None
        return raw if found and found[1] in types else MISSING

    def encode(value: Any) -> Any:
        if decode(value) is MISSING:
            raise Refused("must be a type and an id, such as Patient/0198")
        return value

    return Codec(encode, decode, {"type": "string", "pattern": f"^{_RELATIVE.pattern}$"})


def _id_schema(prefixes: Mapping[str, str] | list[str]) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^({'|'.join(prefixes)})[A-Za-z0-9\\-.]{{1,64}}$"}
