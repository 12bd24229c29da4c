"""A narrative must be a div of basic formatting in well-formed XHTML, with something in it.

https://hl7.org/fhir/R4/narrative.html#xhtml
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

NAMESPACE = "{http://www.w3.org/1999/xhtml}"
ELEMENTS = frozenset({
    "a", "abbr", "acronym", "b", "big", "blockquote", "br", "caption", "cite", "code", "col",
    "colgroup", "dd", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i",
    "img", "ins", "del", "li", "ol", "p", "pre", "q", "samp", "small", "span", "strong", "sub",
    "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul", "u", "var", "kbd",
    "bdo", "address", "center", "font", "s", "strike", "map", "area",
})  # fmt: skip
ATTRIBUTES = frozenset({
    "title", "style", "class", "id", "xml:lang", "lang", "dir", "idref", "accesskey", "tabindex",
    "span", "width", "align", "valign", "char", "charoff", "abbr", "axis", "headers", "scope",
    "rowspan", "colspan", "cite", "href", "name", "src", "alt", "longdesc", "height", "border",
    "cellpadding", "cellspacing", "summary", "rules", "frame", "type", "start", "value", "compact",
    "clear", "size", "noshade", "datetime", "color", "face", "shape", "coords", "usemap", "hspace",
    "vspace", "nowrap", "bgcolor", "rev", "rel", "charset", "hreflang", "target", "xmlns",
})  # fmt: skip
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9A-Fa-f]+);)[^\s;&<]*;?")
_TXT_1 = (
    "Constraint failed: txt-1: 'The narrative SHALL contain only the basic html formatting"
    " elements and attributes described in chapters 7-11 (except section 4 of chapter 9) and 15 of"
    " the HTML 4.0 standard, <a> elements (either name or href), images and internally contained"
    " style attributes'"
)
_TXT_2 = "Constraint failed: txt-2: 'The narrative SHALL have some non-whitespace content'"
XML_NAMES = "{http://www.w3.org/XML/1998/namespace}"
Found = tuple[str, str]


def problems(div: str, resource: dict[str, Any]) -> Iterator[Found]:
    """(issue code, what is wrong) of a narrative div in `resource`."""
    plain, links, ids = _read(div)
    yield from plain
    inside = [link for link in links if link.startswith("#") and len(link) > 1]
    if inside:
        known = ids | element_ids(resource)
        for link in inside:
            if link[1:] not in known:
                yield "invalid", "A hyperlink does not resolve"


def _read(div: str) -> tuple[tuple[Found, ...], tuple[str, ...], frozenset[str]]:
    """What is wrong by itself, the links, and the ids that links may name."""
    entity = _ENTITY.search(div)
    if entity:
        return (("invalid", f"Invalid entity in the XHTML ('{entity[0][:20]}')"),), (), frozenset()
    root = _parse(div)
    if root is None:
        return (("invalid", "The XHTML is not well-formed"),), (), frozenset()
    everything = list(root.iter())
    links = tuple(e.attrib["href"] for e in everything if "href" in e.attrib)
    ids = frozenset(e.attrib[k] for e in everything for k in ("id", "name") if k in e.attrib)
    return tuple(_shape(root, everything)), links, ids


def _parse(div: str) -> Element | None:
    # No document type is allowed, so no entity can be declared and blown up.
    if "<!" in div.replace("<!--", ""):
        return None
    parser = XMLParser(target=TreeBuilder())  # noqa: S314 - see the line above
    try:
        parser.feed(div)
        return parser.close()
    except (ParseError, ValueError):
        return None


def _shape(root: Element, everything: list[Element]) -> Iterator[Found]:
    if root.tag != NAMESPACE + "div":
        yield "invalid", "The narrative must be a div in the XHTML namespace"
    names = [e.tag.removeprefix(NAMESPACE) for e in everything]
    bad = [name for name in names if name not in ELEMENTS]
    worse = [name for e in everything for name in e.attrib if not _allowed(e, name)]
    if bad or worse:
        yield "invariant", _TXT_1
    for name in bad:
        yield "invalid", f"Invalid element name in the XHTML ('{name[:40]}')"
    for name in worse:
        yield "invalid", f"Invalid attribute name in the XHTML ('{name[:40]}')"
    if "img" not in names and not any(text.strip() for text in root.itertext()):
        yield "invariant", _TXT_2


def _allowed(element: Element, attribute: str) -> bool:
    name = attribute.replace(XML_NAMES, "xml:")
    if name in ("href", "src") and _script(element.attrib[attribute]):
        return False
    return name in ATTRIBUTES


def _script(address: str) -> bool:
    scheme = "".join(address.split()).lower()
    return scheme.startswith(("javascript:", "vbscript:", "data:text"))


def element_ids(value: Any) -> frozenset[str]:
    """Every `id` of the elements and contained resources of a resource."""
    found: set[str] = set()
    _gather(value, found)
    return frozenset(found)


def _gather(value: Any, found: set[str]) -> None:
    if type(value) is dict:
        if type(value.get("id")) is str:
            found.add(value["id"])
        for item in value.values():
            _gather(item, found)
    elif type(value) is list:
        for item in value:
            _gather(item, found)
