"""What the words themselves must keep to: no HTML where it may do harm, no examples as addresses.

https://hl7.org/fhir/R4/security.html#narrative
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from hashlib import sha1

from fhir_server.validation import xhtml
from fhir_server.validation.place import Place
from fhir_server.validation.run import Json, Run

_TAG = re.compile(r"<[/!]?[A-Za-z][^<>]*/?>")
_TAG_START = re.compile(r"<[/]?[A-Za-z]+")
_EXAMPLE = re.compile(
    r"[a-z]+://(?:[^/?#\s]*[.@])?example\.(?:org|com|net)(?=[:/?#]|$)", re.IGNORECASE
)


def _string(value: str, at: Place, run: Run) -> None:
    if not run.options.embedded_html and _TAG.search(value):
        text = (
            "The string value contains text that looks like embedded HTML tags, which are not"
            " allowed for security reasons in this context"
        )
        run.error("invalid", text, at)


def _markdown(value: str, at: Place, run: Run) -> None:
    found = None if run.options.markdown_html else _TAG_START.search(value)
    if found:
        text = "The markdown contains content that appears to be an embedded HTML tag"
        run.error("invalid", f"{text} starting at '{found[0][:2]}'", at)
    _string(value, at, run)


def _address(value: str, at: Place, run: Run) -> None:
    if not run.options.example_urls and _EXAMPLE.match(value):
        run.error("invalid", "Example URLs are not allowed in this context", at)


# Only looked at when the options ask for more than FHIR does.
EXTRA: Mapping[str, Callable[[str, Place, Run], None]] = {
    "string": _string,
    "markdown": _markdown,
    "code": _string,
    "uri": _address,
    "url": _address,
    "canonical": _address,
}


def attachment(value: Json, at: Place, run: Run) -> None:
    """`size` and `hash` must be those of what `data` holds."""
    data, size, stated = value.get("data"), value.get("size"), value.get("hash")
    if not isinstance(data, str) or (size is None and stated is None):
        return
    try:
        content = a2b_base64(data)
    except ValueError:
        return
    actual = len(content)
    if type(size) is int and size != actual:
        text = f"Stated Attachment Size {size} does not match actual attachment size {actual}"
        run.error("structure", text, at)
    if isinstance(stated, str) and stated != _sha1(content):
        run.error("structure", "The hash of the data did not match the data", at)


def _sha1(content: bytes) -> str:
    """As R4 has it: a checksum against damage, no protection against forgery."""
    return b2a_base64(sha1(content, usedforsecurity=False).digest(), newline=False).decode()


def narrative(value: Json, at: Place, run: Run) -> None:
    div = value.get("div")
    if isinstance(div, str):
        for code, text in xhtml.problems(div, run.resource):
            run.error(code, text, (at, "div", None))
