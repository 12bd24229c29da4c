"""The slow way for what concerns values: composites, modifiers, words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

Resource = Mapping[str, Any]
# system|code → what is below it, itself included; and the members of each value set.
BELOW = {
    "http://a|x": {("http://a", "x"), ("http://a", "y"), ("http://a", "x|y")},
    "http://a|y": {("http://a", "y"), ("http://a", "x|y")},
    "http://a|x|y": {("http://a", "x|y")},
    "http://a|X": {("http://a", "X")},
}
MEMBERS = {
    "http://vs/a": {("http://a", "x"), ("http://a", "X")},
    "ValueSet/a": {("http://a", "x"), ("http://a", "X")},
    "http://vs/b": {("http://b", "y")},
    "http://hl7.org/fhir/ValueSet/request-priority": {
        ("http://hl7.org/fhir/request-priority", code)
        for code in ("routine", "urgent", "asap", "stat")
    },
}
LETTERS = {"ي": "ی", "ى": "ی", "ك": "ک", "ة": "ه"}
# Elements of types string, markdown and xhtml in the worlds of these tests.
READ = frozenset(
    {"text", "div", "display", "contentString", "family", "given", "value", "description", "title"}
)


def codes_meant(modifier: str, asked: str) -> set[tuple[str, str]]:
    """The codes that a value of `:in`, `:above` or `:below` stands for."""
    if modifier in {"in", "not-in"}:
        return MEMBERS[asked]
    plain = asked.replace(r"\|", "|")
    if modifier == "below":
        return BELOW[plain]
    system, code = plain.split("|", 1)
    above = [name for name, below in BELOW.items() if (system, code) in below]
    return {(system, name.split("|", 1)[1]) for name in above}


def words_beside(value: Any) -> list[str]:
    """What `:text` looks at."""
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("type"), dict):
        return [value["type"]["text"]] if "text" in value["type"] else []
    found = [value[name] for name in ("text", "display") if name in value]
    return found + [c["display"] for c in value.get("coding", ()) if "display" in c]


def uri_is(value: str, modifier: str, asked: str) -> bool:
    """`asked` is above or below the URL, step by step."""
    if not modifier:
        return value == asked
    lower, upper = (value, asked) if modifier == "below" else (asked, value)
    if "://" not in value:
        return False
    return (lower.rstrip("/") + "/").startswith(upper.rstrip("/") + "/")


def version_is(value: str, modifier: str, asked: str) -> bool:
    """`asked` is above or below the version, number by number."""
    if "|" not in asked:
        return value.split("|", maxsplit=1)[0] == asked
    if "|" not in value:
        return False
    lower, upper = (value, asked) if modifier == "below" else (asked, value)
    return (lower + ".").startswith(upper + ".")


def reading(resource: Resource, code: str) -> list[list[str]]:
    """The words of each text."""
    if code == "_text":
        found = [resource["text"]["div"]] if "text" in resource else []
    else:
        found = list(_strings(resource, "Communication"))
    return [_words(unescape(re.sub("<[^>]*>", " ", t)) if "<" in t else t) for t in found]


def _strings(node: Any, name: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _strings(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value, name)
    elif isinstance(node, str) and name in READ:
        yield node


def fold(text: str) -> str:
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = (LETTERS.get(c, c) for c in letters if not unicodedata.combining(c))
    digits = (str(unicodedata.digit(c)) if c.isdigit() else c for c in plain)
    return " ".join("".join(digits).split())


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in fold(text)).split()


def says(texts: list[list[str]], asked: str) -> bool:
    """Any side of the `or`, all terms of a side."""
    sides: list[list[str]] = [[]]
    for term in re.findall(r'-?"[^"]*"|\S+', asked):
        if term.lower() == "or":
            sides.append([])
        else:
            sides[-1].append(term)
    return any(all(_term(texts, term) for term in side) for side in sides)


def _term(texts: list[list[str]], term: str) -> bool:
    if term.startswith("-"):
        return not _term(texts, term[1:])
    phrase = _words(term)
    size = len(phrase)
    return any(phrase == words[n : n + size] for words in texts for n in range(len(words)))
