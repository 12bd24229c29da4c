"""What a caller may ask of the validator beyond the rules of FHIR itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`embedded_html`: strings that look like HTML are accepted (not under security checks);
    `markdown_html`: so are HTML tags in markdown; `example_urls`: so are example.org addresses;
    `contained_unreferenced` and `contained_content`: contained resources are checked for being
    referred to, and for what is in them; `references_exist`: relative references inside a Bundle
    or Parameters must be found in it."""

    embedded_html: bool = True
    markdown_html: bool = True
    example_urls: bool = True
    contained_content: bool = True
    references_exist: bool = False


DEFAULT = Options()
