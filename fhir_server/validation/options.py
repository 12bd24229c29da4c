"""What a caller may ask of the validator beyond the rules of FHIR itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`embedded_html`: strings that look like HTML are accepted (not under security checks);
    `markdown_html`: so are HTML tags in markdown; `example_urls`: so are example.org addresses;
    `contained`: contained resources are looked at; `references_exist`: relative references
    inside a Bundle or Parameters must be found in it; `comments`: JSON may have comments;
    `claims`: the profiles that meta.profile names are checked."""

    embedded_html: bool = True
    markdown_html: bool = True
    example_urls: bool = True
    contained: bool = True
    references_exist: bool = False
    comments: bool = False
    claims: bool = True

    @property
    def texts(self) -> tuple[bool, bool, bool]:
        """What is asked of the words themselves."""
        return self.embedded_html, self.markdown_html, self.example_urls


DEFAULT = Options()
