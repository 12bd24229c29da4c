"""Which format an answer has and a body comes in, by media type.

A generic type (`application/json`) is answered as it was asked for, FHIR's own with FHIR's own.
https://hl7.org/fhir/R4/http.html#mime-type, https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from fhir_server.http.wire import media_type
from fhir_server.problems import Problem

FHIR_JSON: Final = "application/fhir+json"
FHIR_XML: Final = "application/fhir+xml"
# What is served, the better first where any will do, and how the answer calls it.
NAMES: Final = {
    FHIR_JSON: FHIR_JSON,
    "application/json": "application/json",
    FHIR_XML: FHIR_XML,
    "application/xml": "application/xml",
    "text/json": "text/json; charset=utf-8",
    "text/xml": "text/xml; charset=utf-8",
    # As DSTU2 had them.
    "application/json+fhir": FHIR_JSON,
    "application/xml+fhir": FHIR_XML,
}
SHORT: Final = {"json": FHIR_JSON, "xml": FHIR_XML}
# R4, as the parameter fhirVersion names it.
VERSIONS: Final = frozenset({"4.0", "4.0.1"})
UTF_8: Final = frozenset({"utf-8", "utf8", "us-ascii"})


class Format(NamedTuple):
    """`content_type` is the answer's header."""

    content_type: str
    xml: bool


class _Range(NamedTuple):
    """One part of an Accept header: `text/*;q=0.5`."""

    type: str
    quality: float
    parameters: dict[str, str]


JSON: Final = Format(FHIR_JSON, xml=False)


@lru_cache(maxsize=128)
def wanted(format: str | None, accept: str | None) -> Format:
    """What `_format`, or without it the Accept header, asks for; Problem 406 where that is not
    served."""
    if format is not None:
        # A plus sign that was not escaped arrives as a space.
        found = _named(_range(format.strip().replace(" ", "+", 1)))
    elif not (accept or "").strip():
        return JSON
    else:
        found = _best([_range(part) for part in (accept or "").split(",") if part.strip()])
    if found is None:
        raise Problem(406, "not-supported", f"{FHIR_JSON} and {FHIR_XML} of R4 are produced")
    return found


@lru_cache(maxsize=128)
def is_xml(content_type: str | None) -> bool:
    """Whether a body is XML rather than JSON; Problem 415 where it is neither, not of R4, or not
    in UTF-8."""
    given = _range(content_type or "")
    if given.type not in NAMES:
        raise Problem(415, "not-supported", f"the body must be {FHIR_JSON} or {FHIR_XML}")
    if not _is_r4(given):
        raise Problem(415, "not-supported", "the body must be of FHIR R4: fhirVersion=4.0")
    if given.parameters.get("charset", "utf-8").lower() not in UTF_8:
        raise Problem(415, "not-supported", "the body must be UTF-8")
    return "xml" in given.type


def _best(ranges: list[_Range]) -> Format | None:
    """That of the highest quality; of equal ones a type before a range, the first named first."""
    refused = {one.type for one in ranges if one.quality == 0}
    for one in sorted(ranges, key=lambda one: (-one.quality, one.type.count("*"))):
        if one.quality > 0:
            for name in _matching(one.type):
                if name not in refused and (found := _named(one._replace(type=name))):
                    return found
    return None


def _matching(type_: str) -> list[str]:
    if type_ == "*/*":
        return list(NAMES)
    if type_.endswith("/*"):
        return [name for name in NAMES if name.startswith(type_[:-1])]
    return [type_]


def _named(one: _Range) -> Format | None:
    name = SHORT.get(one.type, one.type)
    if name not in NAMES or not _is_r4(one):
        return None
    version = one.parameters.get("fhirversion")
    told = f"; fhirVersion={version}" if version else ""
    return Format(NAMES[name] + told, "xml" in name)


def _is_r4(one: _Range) -> bool:
    return one.parameters.get("fhirversion", "4.0") in VERSIONS


def _range(text: str) -> _Range:
    parameters = {}
    for part in text.split(";")[1:]:
        key, _, value = part.partition("=")
        parameters[key.strip().lower()] = value.strip().strip('"')
    return _Range(media_type(text), _quality(parameters.pop("q", "1")), parameters)


def _quality(text: str) -> float:
    """What is no quality counts as not given."""
    try:
        quality = float(text)
    except ValueError:
        return 1.0
    return quality if 0 <= quality <= 1 else 1.0
