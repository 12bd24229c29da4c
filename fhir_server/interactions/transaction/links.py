"""References between the entries of a transaction: placeholders become addresses.

https://hl7.org/fhir/R4/http.html#trules: "Servers SHALL replace all matching links in the bundle,
whether they are found in the resource ids, resource references, elements of type uri, url, oid,
uuid, and <a href="" & <img src="" in the narrative. Elements of type canonical are not replaced."
A link matches as a whole: a text that only holds one is left alone, and so is an element of
another type, such as Identifier.value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.reference import parse
from fhir_server.problems import Problem

LINKS: Final = frozenset({"uri", "url", "oid", "uuid"})
_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?\S")
_ADDRESS = re.compile(
    r"""(<(?:a|img)\s(?:[^>]*?\s)?(?:href|src)\s*=\s*)(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE
)


class Target(NamedTuple):
    """What an entry turned out to be: `Type/id`, and its version where it is known."""

    reference: str
    version: int | None


@dataclass(slots=True)
class Links:
    """What the full URLs of a Bundle stand for; `found` what its conditional references do."""

    base: str | None = None
    targets: dict[str, Target] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)

    def add(self, full_url: str, target: Target) -> None:
        """400 where another entry has the full URL."""
        known = self.targets.setdefault(full_url, target)
        if known is not target:
            raise Problem(400, "invalid", "another entry has the same fullUrl")

    def text(self, text: str) -> str:
        """A link that stands alone, such as a search criterion's value."""
        target = self.targets.get(text)
        return target.reference if target else text

    def resolved(self, body: Any, full_url: str | None) -> tuple[Any, list[str]]:
        """The body with every link replaced that is known, and the conditional references that are
        not. The body itself stays as it is, and so does a Bundle, whose links are its own."""
        walk = _Walk(self, _base_of(full_url))
        if isinstance(body, list):
            return [walk.operation(one) for one in body], walk.open
        if isinstance(body, dict) and body.get("resourceType") == "Bundle":
            return body, walk.open
        return walk.resource(body), walk.open


class _Walk:
    """Through one entry's resource, whose relative references are relative to `base`."""

    __slots__ = ("base", "links", "open")

    def __init__(self, links: Links, base: str | None) -> None:
        self.links = links
        self.base = base
        self.open: list[str] = []

    def resource(self, node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        shape = node.get("resourceType")
        return self.object(node, shape if isinstance(shape, str) else "")

    def object(self, node: dict[str, Any], shape: str) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        for key, value in node.items():
            kind = type(value)
            new = value
            if kind is str:
                new = self.string(key, value, shape)
            elif kind is dict or kind is list:
                new = self.value(value, _child(shape, key))
            if new is not value:
                changed[key] = new
        return {**node, **changed} if changed else node

    def value(self, value: Any, shape: str) -> Any:
        kind = type(value)
        if kind is dict:
            return self.resource(value) if shape == "Resource" else self.object(value, shape)
        if kind is list:
            items = [self.value(item, shape) for item in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else items
        if kind is str and shape in LINKS:
            return self.links.text(value)
        return value

    def string(self, key: str, text: str, shape: str) -> str:
        if key == "reference":
            return self.reference(text)
        if key == "div":
            return _ADDRESS.sub(self._address, text)
        if text in self.links.targets and _child(shape, key) in LINKS:
            return self.links.text(text)
        return text

    def reference(self, text: str) -> str:
        if _CONDITIONAL.match(text):
            if text not in self.links.found:
                self.open.append(text)
            return self.links.found.get(text, text)
        bare, mark, fragment = text.partition("#")
        address, history, _ = bare.partition("/_history/")
        target = self._target(address)
        if target is None:
            return text
        if not history:
            return f"{target.reference}{mark}{fragment}"
        if target.version is None:
            return text
        return f"{target.reference}/_history/{target.version}{mark}{fragment}"

    def _target(self, address: str) -> Target | None:
        """https://hl7.org/fhir/R4/bundle.html#references"""
        found = self.links.targets.get(address)
        if found is not None or ":" in address:
            return found
        base = self.base or self.links.base
        return self.links.targets.get(f"{base}/{address}") if base else None

    def operation(self, node: Any) -> Any:
        """Of a JSON Patch."""
        if not isinstance(node, dict) or "value" not in node:
            return node
        value, path = node["value"], node.get("path")
        if isinstance(value, str):
            whole = isinstance(path, str) and path.endswith("/reference")
            return {**node, "value": self.reference(value)} if whole else node
        return {**node, "value": self.value(value, "")}

    def _address(self, found: re.Match[str]) -> str:
        text = found[2] if found[2] is not None else found[3]
        target = self.links.targets.get(text)
        return f'{found[1]}"{target.reference}"' if target else found[0]


def _base_of(full_url: str | None) -> str | None:
    """The base of a RESTful full URL."""
    named = parse(full_url) if full_url else None
    if not full_url or named is None or not named.id or not named.url:
        return None
    return full_url[: -len(f"/{named.type}/{named.id}")]


@lru_cache(maxsize=16_384)
def _child(shape: str, key: str) -> str:
    """The shape of a JSON property's value; empty where R4 has no such property."""
    if not shape:
        return ""
    for name in _names(key):
        element = r4_shapes().element(shape, name)
        if element is not None and key in element.keys:
            return element.keys[key]
    return ""


def _names(key: str) -> Iterable[str]:
    """`valueUri` is the property of an element `valueUri` or `value[x]`."""
    yield key
    for at in range(len(key) - 1, 0, -1):
        if key[at].isupper():
            yield key[:at]
