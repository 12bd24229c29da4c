"""What one request brings, and the words (`$caller`, `$path.threadId`) by which files name it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir.instant import now_text
from fhir_server.mapping.faults import Faults
from fhir_server.problems import forbidden

WORDS = ("caller", "patient", "now", "value")
# What is known of uploaded bytes: `$content.size` ….
CONTENT = ("file", "size", "sha256", "sha1")
_WORD = re.compile(r"\$(?P<word>[a-z]+)(?:\.(?P<name>\w+))?")
_RESERVED = re.compile(r"[\\,$|]")


@dataclass(frozen=True, slots=True)
class Inputs:
    """`path` as references by parameter, `body` as FHIR values by field, `value` of a filter, and
    `mutation`, the client's id of this change. `content` is what an upload was found to be."""

    ctx: Context
    path: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    mutation: str | None = None
    value: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)


Supply = Callable[[Inputs], Any]


def caller(inputs: Inputs) -> str:
    """Who asks, as a reference; 403 for a client that is nobody."""
    if inputs.ctx.user is None:
        raise forbidden("this needs a user, and the token names none")
    return inputs.ctx.user


def patient(inputs: Inputs) -> str:
    """The patient in context; 403 where there is none."""
    if inputs.ctx.patient is None:
        raise forbidden("this needs a patient in context")
    return inputs.ctx.patient


def escaped(value: str) -> str:
    """A client's text as one search value: https://hl7.org/fhir/R4/search.html#escaping ."""
    return _RESERVED.sub(lambda found: "\\" + found[0], value)


_SUPPLIES: Mapping[str, Supply] = {
    "caller": caller,
    "patient": patient,
    "now": lambda inputs: now_text(inputs.ctx.now),
    "value": lambda inputs: inputs.value,
}


def supply(text: str, paths: Iterable[str], bodies: Iterable[str], faults: Faults) -> Supply | None:
    """What stands for `text` in a request: a word, or the text itself; None after a fault."""
    found = _WORD.fullmatch(text)
    if found is None:
        if "$" in text:
            faults.add(f"'{text}': a word such as $caller stands alone")
            return None
        return lambda _: text
    word, name = found["word"], found["name"]
    if word in _SUPPLIES and name is None:
        return _SUPPLIES[word]
    named = {"path": paths, "body": bodies, "content": CONTENT}
    if name in named.get(word, ()):
        return lambda inputs: getattr(inputs, word).get(name)
    known = [
        *WORDS,
        *(f"content.{n}" for n in CONTENT),
        *(f"path.{n}" for n in paths),
        *(f"body.{n}" for n in bodies),
    ]
    faults.unknown("word", text[1:], known)
    return None
