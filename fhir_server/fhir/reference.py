"""What a reference's text points at.

https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

_REST = re.compile(
    r"(?:(?P<base>https?://[^\s?#]+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?(?P<fragment>#\S+)?"
)
_SHORT = 128


class Reference(NamedTuple):
    """`Type/id` on this server has no `url`; anything else is known by `url` or `fragment`."""

    type: str | None = None
    id: str | None = None
    version: str | None = None
    url: str | None = None
    fragment: str | None = None

    @property
    def local(self) -> str | None:
        """`Type/id` when it names a resource of this server, else None."""
        return f"{self.type}/{self.id}" if self.id and self.url is None else None


def parse(text: str, base: str | None = None) -> Reference:
    """Read any reference text; never fails: what is not RESTful keeps its text as `url`.

    An absolute URL under `base` (this server) is read as the relative one. A foreign RESTful
    URL keeps `url` and also tells `type` and `id`.
    """
    return _remembered(text, base) if len(text) <= _SHORT else _read(text, base)


def relative(node: Any, base: str) -> Any:
    """JSON with every reference under `base` (this server) in its relative form."""
    if isinstance(node, list):
        return [relative(item, base) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: relative(value, base) for key, value in node.items()}
    text = found.get("reference")
    if isinstance(text, str) and text.startswith("http") and parse(text, base).local:
        found["reference"] = text[len(base.rstrip("/")) + 1 :]
    return found


def _read(text: str, base: str | None) -> Reference:
    if text.startswith("#"):
        return Reference(fragment=text[1:])
    found = _REST.fullmatch(text)
    if found is None:
        return Reference(url=text)
    own = found["base"] is None or (base is not None and found["base"] == base.rstrip("/"))
    fragment = found["fragment"]
    return Reference(
        found["type"], found["id"], found["version"],
        None if own else text, fragment[1:] if fragment else None,
    )  # fmt: skip


# A resource names the same few others again and again.
_remembered = lru_cache(maxsize=16_384)(_read)
