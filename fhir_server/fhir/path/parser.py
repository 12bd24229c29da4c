"""FHIRPath text to a tree, for the part of the grammar that closures can answer.

Precedence climbing over one regex of tokens: an expression costs microseconds, where the full
grammar costs milliseconds, and a server compiles hundreds at start-up.
https://hl7.org/fhirpath/N1/#operator-precedence
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple


class PathError(ValueError):
    """The expression cannot be read, or cannot be evaluated on this value."""


class NotNative(Exception):
    """The expression is beyond the native subset; fhirpathpy decides about it."""


class This(NamedTuple):
    """The item in focus."""


class Literal(NamedTuple):
    values: tuple[Any, ...]


class Variable(NamedTuple):
    name: str


class Member(NamedTuple):
    base: Node
    name: str


class Call(NamedTuple):
    base: Node
    name: str
    arguments: tuple[Node, ...]


class Index(NamedTuple):
    base: Node
    at: Node


class TypeTest(NamedTuple):
    """`base is type` or `base as type`; ofType() keeps many items where `as` wants one."""

    operator: str
    base: Node
    type: str


class Binary(NamedTuple):
    operator: str
    left: Node
    right: Node


Node = This | Literal | Variable | Member | Call | Index | TypeTest | Binary

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\]|\\.)*')"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*|`(?:[^`\\]|\\.)*`)"
    r"|(?P<special>[$%](?:\w+|`[^`]*`))"
    r"|(?P<mark><=|>=|!=|!~|[-+*/&|=~<>.,()\[\]{}]))",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"}
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "!="),
    ("<", ">", "<=", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
)
_THIS = This()
_END = ("end", "")


def parse(expression: str) -> Node:
    """The tree of `expression`; NotNative when it uses anything else of the grammar."""
    parser = _Parser(_tokens(expression))
    node = parser.level(0)
    parser.expect("")
    return node


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens, at, end = [], 0, len(expression.rstrip())
    while at < end:
        found = _TOKEN.match(expression, at)
        if found is None or found.lastgroup is None:
            raise NotNative(expression)
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: Sequence[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def _next(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _take(self) -> tuple[str, str]:
        token = self._next
        self._at += 1
        return token

    def _accept(self, mark: str) -> bool:
        kind, text = self._next
        if text == mark and kind in ("mark", "name"):
            self._at += 1
            return True
        return False

    def expect(self, mark: str) -> None:
        kind, text = self._take()
        if text != mark or kind not in ("mark", "end"):
            raise NotNative(f"expected '{mark}'")

    def level(self, depth: int) -> Node:
        if depth == len(_LEVELS):
            return self._chain()
        node = self.level(depth + 1)
        while True:
            kind, text = self._next
            if text not in _LEVELS[depth] or kind not in ("mark", "name"):
                return node
            self._at += 1
            if text in ("is", "as"):
                node = TypeTest(text, node, self._type())
            else:
                node = Binary(text, node, self.level(depth + 1))

    def _type(self) -> str:
        return _unqualified(self._chain())

    def _chain(self) -> Node:
        node = self._term()
        while True:
            if self._accept("."):
                node = self._invocation(node)
            elif self._accept("["):
                node = Index(node, self.level(0))
                self.expect("]")
            else:
                return node

    def _term(self) -> Node:  # noqa: PLR0911 - one for each kind of token
        kind, text = self._next
        if kind == "name" and text in ("true", "false"):
            self._at += 1
            return Literal((text == "true",))
        if kind == "name":
            return self._invocation(_THIS)
        self._at += 1
        if kind == "string":
            return Literal((_unescape(text[1:-1]),))
        if kind == "number" and self._next[0] != "name":
            return Literal((float(text) if "." in text else int(text),))
        if kind == "number" and self._next[1] in _OPERATOR_WORDS:
            return Literal((float(text) if "." in text else int(text),))
        if text == "$this":
            return _THIS
        if kind == "special" and text[0] == "%":
            return Variable(text[1:].strip("`"))
        if kind == "mark" and text == "(":
            node = self.level(0)
            self.expect(")")
            return node
        if kind == "mark" and text == "{":
            self.expect("}")
            return Literal(())
        raise NotNative(text)

    def _invocation(self, base: Node) -> Node:
        kind, text = self._take()
        if kind != "name":
            raise NotNative(text)
        name = _unescape(text[1:-1]) if text[0] == "`" else text
        if not self._accept("("):
            return Member(base, name)
        arguments = self._arguments()
        if name in ("is", "as", "ofType") and len(arguments) == 1:
            return TypeTest(name, base, _unqualified(arguments[0]))
        if name == "trace":
            return base
        return Call(base, name, arguments)

    def _arguments(self) -> tuple[Node, ...]:
        if self._accept(")"):
            return ()
        arguments = [self.level(0)]
        while self._accept(","):
            arguments.append(self.level(0))
        self.expect(")")
        return tuple(arguments)


_OPERATOR_WORDS = frozenset(word for level in _LEVELS for word in level)


def _unqualified(node: Node) -> str:
    """The name of a type specifier: `Patient`, `FHIR.Patient`; System types are another thing."""
    if isinstance(node, Member) and node.base == _THIS:
        return node.name
    if isinstance(node, Member) and node.base == Member(_THIS, "FHIR"):
        return node.name
    raise NotNative("type specifier")


_ITEMWISE = frozenset({"where", "select", "all", "exists", "repeat"})


def rebased(node: Node, base: Node) -> Node:  # noqa: PLR0911 - one case for each kind of node
    """`node` as asked of `base` instead of the item in focus."""
    match node:
        case This():
            return base
        case Member(inner, name):
            return Member(rebased(inner, base), name)
        case Index(inner, at):
            return Index(rebased(inner, base), rebased(at, base))
        case TypeTest(operator, inner, type_):
            return TypeTest(operator, rebased(inner, base), type_)
        case Binary(operator, left, right):
            return Binary(operator, rebased(left, base), rebased(right, base))
        case Call(inner, name, arguments):
            if name not in _ITEMWISE:
                arguments = tuple(rebased(each, base) for each in arguments)
            return Call(rebased(inner, base), name, arguments)
    return node


def _unescape(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPED.get(code, code)

    return _ESCAPE.sub(plain, text) if "\\" in text else text
