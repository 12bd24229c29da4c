"""Text to an XML tree, by libxml2 with all that is dangerous switched off.

A document type is refused before anything is parsed: without one there are no entities to expand
and nothing outside to fetch. https://cheatsheetseries.owasp.org/cheatsheets/XML_Security_Cheat_Sheet.html
"""

from __future__ import annotations

from lxml import etree

from fhir_server.fhir.json import check_size
from fhir_server.problems import Problem

_BOM = b"\xef\xbb\xbf"
_DECLARATIONS = (b"<!DOCTYPE", b"<!ENTITY")
# An element costs libxml2 a hundred bytes and more, which is dear where it came in four.
_BEGINNINGS = (b"<", b"=")


def parse(data: bytes) -> etree._Element:
    """The root element; Problem 400 with line and column where `data` is not XML in UTF-8, 413
    where it has too many parts."""
    data = data.removeprefix(_BOM)
    check_size(data, _BEGINNINGS)
    _check(data)
    try:
        return etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as error:
        # libxml2's own words may quote what stands there.
        line, column = error.position
        where = f"line {line}, column {column}"
        raise refused(f"The body is not well-formed XML: {where}") from None
    except ValueError:
        raise refused("The body is not XML") from None


def is_element(text: bytes) -> bool:
    """Whether it is one well-formed element, which can stand inside another."""
    if text[:1] != b"<" or text[1:2] in {b"?", b"!"} or any(d in text for d in _DECLARATIONS):
        return False
    try:
        etree.fromstring(text, _parser())
    except (etree.XMLSyntaxError, ValueError):
        return False
    return True


def refused(why: str, expression: str | None = None) -> Problem:
    return Problem(400, "structure", why, expression=expression)


def _check(data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise refused("The body is not UTF-8") from None
    if any(declaration in data for declaration in _DECLARATIONS):
        raise refused("A document type or entity must not be declared")


def _parser() -> etree.XMLParser[etree._Element]:
    """A new one each time: a parser remembers, and requests must not share that."""
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        strip_cdata=True,
    )
