"""Codes, identifiers and booleans as the `code`, `system|code`, `|code` and `system|` a query asks.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Iterator

# Between system and code: neither JSON nor a query may contain NUL, so no code looks like another.
_BAR = "\0"


def any_system(code: str) -> str:
    """What `code` asks for."""
    return code + _BAR * 2


def with_system(system: str, code: str) -> str:
    """What `system|code` asks for, or `|code` where `system` is empty."""
    return f"{system}{_BAR}{code}"


def any_code(system: str) -> str:
    """What `system|` asks for."""
    return system + _BAR * 3


def tokens(element: object) -> Iterator[str]:
    """Every form of token query that the element answers to."""
    for system, code in codings(element):
        if code is not None:
            yield any_system(code)
            yield with_system(system, code)
        if system:
            yield any_code(system)


def codings(element: object) -> Iterator[tuple[str, str | None]]:
    """(system or "", code or None) of each coding of the element."""
    if isinstance(element, bool):
        yield "", "true" if element else "false"
    elif isinstance(element, str | int):
        yield "", str(element)
    elif isinstance(element, dict):
        yield from _of_object(element)


def _of_object(element: dict[str, object]) -> Iterator[tuple[str, str | None]]:
    inner = element.get("coding")
    if isinstance(inner, list):
        for coding in inner:
            yield from codings(coding)
        return
    code = element.get("code", element.get("value"))
    if isinstance(code, dict):
        return
    system = element.get("system", "")
    if code is not None or system:
        yield str(system), None if code is None else str(code)


def typed_identifiers(element: object) -> Iterator[str]:
    """`system|code|value` of an Identifier with a type, for `:of-type`."""
    if not isinstance(element, dict) or "type" not in element or "value" not in element:
        return
    for system, code in codings(element["type"]):
        if code is not None:
            yield of_type(system, code, str(element["value"]))


def of_type(system: str, code: str, value: str) -> str:
    """What `:of-type=system|code|value` asks for."""
    return _BAR.join((system, code, value))


def displays(element: object) -> Iterator[str]:
    """The words that stand beside the codes, for `:text`: those of the codings, of the concept,
    or of an identifier's type."""
    if not isinstance(element, dict):
        return
    if isinstance(kind := element.get("type"), dict):
        yield from _words(kind, "text")
        return
    yield from _words(element, "text")
    yield from _words(element, "display")
    for coding in element.get("coding", ()):
        yield from _words(coding, "display")


def _words(element: object, name: str) -> Iterator[str]:
    found = element.get(name) if isinstance(element, dict) else None
    if isinstance(found, str):
        yield found
