"""JSON in and out, as strict as stored clinical data deserves and as fast as orjson.

orjson keeps the last of two equal keys and forgets how a decimal was written. Writing the parsed
tree again shows both at C speed: without white space it equals the source unless a key was
dropped, a decimal reformatted or an escape resolved. Only a text where that is in doubt is
parsed a second, slower time that looks at the details.
https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import orjson

from fhir_server.problems import Problem

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \n\r\t"
_KEY_END = b'":'
# NUL, and a quote or a colon in disguise, which would upset the count of `":`.
_ESCAPED_ASCII = b"\\u00"
_DECIMAL = re.compile(rb'":(?:-?\d+[.eE]|\[[-\d])')
_INT64 = range(-(2**63), 2**63)
_SHOWN_KEY = 64
# In one text. The densest of the official examples has one in 17 bytes.
MOST_VALUES = 2_000_000
# What each value but the first begins with, or stands behind.
_BEGINNINGS = (b"{", b"[", b",")


class FhirDecimal(float):
    """A decimal that remembers how it was written, since 1.00 says more than 1.0."""

    text: str

    def __new__(cls, text: str | float) -> Self:
        self = super().__new__(cls, text)
        self.text = str(text)
        return self


class _Repeated(dict[str, Any]):
    """An object in which `key` occurred twice."""

    key: str


def parse(data: bytes, max_depth: int = 64) -> dict[str, Any]:
    """The JSON object in `data`; anything else is a Problem 400 that says what and where."""
    tree: dict[str, Any] = _parsed(data, max_depth, dict, "object")
    return tree


def parse_list(data: bytes, max_depth: int = 64) -> list[Any]:
    """The JSON array in `data`, read as strictly."""
    tree: list[Any] = _parsed(data, max_depth, list, "array")
    return tree


def check_size(data: bytes, beginnings: Sequence[bytes]) -> None:
    """413 for more values than MOST_VALUES: 32 MB of `{}` take seconds that nobody else gets.

    A shorter text holds no more of them, so that it is not even looked at.
    """
    if len(data) > MOST_VALUES and sum(map(data.count, beginnings)) > MOST_VALUES:
        raise Problem(413, "too-long", f"the body holds more than {MOST_VALUES} values")


def _parsed(data: bytes, max_depth: int, kind: type, called: str) -> Any:
    data = data.removeprefix(_BOM)
    check_size(data, _BEGINNINGS)
    try:
        tree = orjson.loads(data)
        shown = orjson.dumps(tree, option=orjson.OPT_INDENT_2)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "structure", f"The body is not JSON: {error}") from None
    except orjson.JSONEncodeError:
        raise _too_deep(max_depth) from None
    if type(tree) is not kind:
        raise Problem(400, "structure", f"The body is not a JSON {called}")
    if b"\n" + b"  " * (max_depth + 1) in shown:
        raise _too_deep(max_depth)
    if _doubtful(data, shown.translate(None, _SPACE)):
        return _parse_strictly(data)
    return tree


def dumps(value: Any, *, pretty: bool = False) -> bytes:
    """Compact JSON, or indented; a FhirDecimal is written as it was read."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_INDENT_2 if pretty else None)


def _default(value: object) -> orjson.Fragment:
    if isinstance(value, FhirDecimal):
        return orjson.Fragment(value.text)
    raise TypeError(type(value).__name__)


def _doubtful(data: bytes, written: bytes) -> bool:
    """Whether the tree `written` without white space may have lost something of `data`."""
    bare = data.translate(None, _SPACE)
    if b"\\" in data and _ESCAPED_ASCII in data:
        return True
    if bare != written and bare.count(_KEY_END) != written.count(_KEY_END):
        return True
    return _DECIMAL.search(written) is not None


def _too_deep(max_depth: int) -> Problem:
    return Problem(400, "structure", f"The body is nested deeper than {max_depth} levels")


def _parse_strictly(data: bytes) -> Any:
    doubts: list[str] = []
    tree = json.loads(
        data,
        object_pairs_hook=partial(_object, doubts),
        parse_float=FhirDecimal,
        parse_int=partial(_integer, doubts),
    )
    # Only then: naming every place of a large body takes longer than reading it.
    if doubts or _ESCAPED_ASCII in data:
        for place, value in _walk(tree):
            _check_value(place, value)
    return tree


def _integer(doubts: list[str], text: str) -> int:
    number = int(text)
    if number not in _INT64:
        doubts.append(text)
    return number


def _object(doubts: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubts.append("repeated key")
    repeated = _Repeated(found)
    times = Counter(key for key, _ in pairs)
    repeated.key = next(key for key, count in times.items() if count > 1)
    return repeated


def _check_value(place: str, value: object) -> None:
    if isinstance(value, _Repeated):
        key = value.key[:_SHOWN_KEY].replace("\0", "")
        raise Problem(400, "structure", f"The key '{key}' occurs twice", expression=place)
    if isinstance(value, str) and "\0" in value:
        raise Problem(400, "invalid", "A text contains the NUL character", expression=place)
    if type(value) is int and value not in _INT64:
        raise Problem(400, "invalid", "A whole number is out of range", expression=place)


def _walk(tree: Any) -> list[tuple[str, Any]]:
    """Every value and key with its place, outermost first."""
    root = tree.get("resourceType") if isinstance(tree, dict) else None
    if not (isinstance(root, str) and root.isidentifier() and len(root) <= _SHOWN_KEY):
        root = "$this"
    found: list[tuple[str, Any]] = [(root, tree)]
    for place, value in found:
        if isinstance(value, dict):
            found += [(place, key) for key in value]
            found += [(f"{place}.{key}", child) for key, child in value.items()]
        elif isinstance(value, list):
            found += [(f"{place}[{at}]", child) for at, child in enumerate(value)]
    return found
