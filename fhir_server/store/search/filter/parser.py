"""The text of a filter, read by hand so that an error can say where it is.

filter  = operand *(("and" / "or") operand)     from left to right, neither binds closer
operand = "not" operand / "(" filter ")" / path operator value
path    = name *(["[" filter "]"] "." name)     a name may end with :Type
value   = JSON string / characters other than whitespace, ")" and "]"
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final, Literal, NoReturn

from fhir_server.problems import Problem
from fhir_server.store.search.filter.expression import Expression, Not, Step, Term, joined

LONGEST: Final = 4096
DEEPEST: Final = 16
MOST_TERMS: Final = 64
OPERATORS: Final = frozenset(
    "eq ne co sw ew gt lt ge le ap sa eb pr po ss sb in ni re".split()  # noqa: SIM905
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?::[A-Z][A-Za-z]*)?")
_WORD = re.compile(r"[a-z]+(?![^\s()\[\]])")
_JOINING = re.compile(r"(and|or)(?![^\s(])")
_NOT = re.compile(r"not(?=[\s(])")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_TOKEN = re.compile(r"[^\s\])]+")
_SPACE = re.compile(r"\s*")


def parse(text: str) -> Expression:
    """Problem 400 that names the position of what is wrong."""
    if len(text) > LONGEST:
        raise Problem(400, "too-costly", f"_filter is longer than {LONGEST} characters")
    return _Parser(text).whole()


def wrong(at: int, why: str, code: str = "invalid") -> Problem:
    """A refusal that says where."""
    return Problem(400, code, f"_filter at {at}: {why}", expression="_filter")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._terms = 0

    def whole(self) -> Expression:
        found = self._filter()
        if self._at < len(self._text):
            self._fail("expected and, or, or the end")
        return found

    def _filter(self) -> Expression:
        """Ends behind whitespace, before whatever does not go on."""
        found = self._operand()
        while word := self._joining():
            found = joined(word, found, self._operand())
        return found

    def _operand(self) -> Expression:
        self._space()
        if self._take(_NOT):
            return Not(self._inside(self._operand))
        if self._sign("("):
            found = self._inside(self._filter)
            self._close(")")
            return found
        return self._term()

    def _inside(self, read: Callable[[], Expression]) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"nested deeper than {DEEPEST}", "too-costly")
        found = read()
        self._depth -= 1
        return found

    def _term(self) -> Term:
        at = self._at
        self._terms += 1
        if self._terms > MOST_TERMS:
            self._fail(f"more than {MOST_TERMS} terms", "too-costly")
        path = [self._step()]
        while self._sign("."):
            path.append(self._step())
        if path[-1].filter:
            self._fail("expected a dot and a name")
        operator = self._operator()
        value_at = self._at
        return Term(tuple(path), operator, self._value(), at + 1, value_at + 1)

    def _step(self) -> Step:
        name = self._take(_NAME) or self._fail("expected a parameter")
        if not self._sign("["):
            return Step(name)
        found = self._inside(self._filter)
        self._close("]")
        return Step(name, found)

    def _operator(self) -> str:
        if not self._space():
            self._fail("expected a space and an operator")
        at = self._at
        word = self._take(_WORD)
        if word not in OPERATORS:
            self._at = at
            self._fail("expected an operator")
        if not self._space():
            self._fail("expected a space and a value")
        return word

    def _value(self) -> str:
        at = self._at
        if not self._text.startswith('"', at):
            return self._take(_TOKEN) or self._fail("expected a value")
        quoted = self._take(_STRING) or self._fail("the string does not end")
        if self._at < len(self._text) and not re.match(r"[\s)\]]", self._text[self._at]):
            self._fail("expected a space after the string")
        try:
            value: str = json.loads(quoted)
        except ValueError as error:
            self._at = at + getattr(error, "pos", 0)
            self._fail("not a JSON string")
        return value

    def _joining(self) -> Literal["and", "or"] | None:
        self._space()
        match self._take(_JOINING):
            case "and":
                return "and"
            case "or":
                return "or"
        return None

    def _close(self, sign: str) -> None:
        if not self._sign(sign):
            self._fail(f"expected and, or, or {sign}")

    def _sign(self, sign: str) -> bool:
        found = self._text.startswith(sign, self._at)
        self._at += found
        return found

    def _space(self) -> str:
        return self._take(_SPACE)

    def _take(self, wanted: re.Pattern[str]) -> str:
        found = wanted.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]

    def _fail(self, why: str, code: str = "invalid") -> NoReturn:
        raise wrong(self._at + 1, why, code)
