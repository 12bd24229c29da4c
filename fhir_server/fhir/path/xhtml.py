"""What a Narrative may contain: htmlChecks(), the function behind txt-1 and txt-2.

https://hl7.org/fhir/R4/narrative.html#xhtml
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

_NAMESPACE = "{http://www.w3.org/1999/xhtml}"
_ELEMENTS = (
    "div p br hr h1 h2 h3 h4 h5 h6 span b i u em strong small big tt dfn code samp kbd var "
    "cite abbr acronym blockquote q address sub sup pre ins del ul ol li dl dt dd table "
    "caption thead tfoot tbody colgroup col tr th td a img bdo figure figcaption map area"
)
_ATTRIBUTES = (
    "title style class id lang dir accesskey tabindex span width align valign char charoff "
    "abbr axis headers scope rowspan colspan border cellpadding cellspacing summary frame "
    "rules href hreflang rel rev type charset name shape coords src alt longdesc height "
    "usemap ismap cite datetime nohref start value compact clear nowrap bgcolor "
    "{http://www.w3.org/XML/1998/namespace}lang "
    "{http://www.w3.org/XML/1998/namespace}space"
)
_ALLOWED_ELEMENTS = frozenset(_ELEMENTS.split())
_ALLOWED_ATTRIBUTES = frozenset(_ATTRIBUTES.split())
_SCRIPTS = ("javascript:", "vbscript:")
_ENTITIES = {"nbsp": "\u00a0", "copy": "\u00a9", "reg": "\u00ae"}


def is_narrative(text: str) -> bool:
    """Whether `text` is one XHTML div of allowed elements that says something."""
    root = _parsed(text)
    if root is None or root.tag != f"{_NAMESPACE}div":
        return False
    return all(map(_is_allowed, root.iter())) and _says_something(root)


def _parsed(text: str) -> ET.Element | None:
    # No document type: neither entities that grow nor files from elsewhere.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    parser = ET.XMLParser()  # noqa: S314 - without a document type there is nothing to attack
    parser.entity.update(_ENTITIES)
    try:
        return ET.fromstring(text, parser)  # noqa: S314
    except (ET.ParseError, ValueError):
        return None


def _is_allowed(element: ET.Element) -> bool:
    tag = element.tag
    if tag.removeprefix(_NAMESPACE) not in _ALLOWED_ELEMENTS:
        return False
    return all(
        name in _ALLOWED_ATTRIBUTES and not value.strip().lower().startswith(_SCRIPTS)
        for name, value in element.items()
    )


def _says_something(root: ET.Element) -> bool:
    return any(text.strip() for text in root.itertext()) or any(
        element.tag == f"{_NAMESPACE}img" for element in root.iter()
    )
