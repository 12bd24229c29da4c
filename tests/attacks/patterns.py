"""Every regular expression of the server, and texts made to keep it busy."""

from __future__ import annotations

import ast
import importlib
import itertools
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fhir_server

PACKAGE = Path(fhir_server.__file__).parent
# What a method does with a text: look at its beginning, or begin at every character of it.
METHODS = {"fullmatch": "fullmatch", "match": "match"} | dict.fromkeys(
    ("search", "findall", "finditer", "split", "sub", "subn"), "search"
)
MOST_PAIRS = 16
ENDS = ("\0", "")
OFTEN, LESS_OFTEN = 4000, 250


class Used(NamedTuple):
    """A pattern, and how it is used."""

    where: str
    pattern: re.Pattern[Any]
    method: str


def used() -> Iterator[Used]:
    """All of them, by walking the modules: constants, and what functions compile or use at once."""
    for info in pkgutil.walk_packages([str(PACKAGE)], "fhir_server."):
        if info.name.endswith("__main__") or ".migrations." in info.name or ".extract" in info.name:
            continue
        module = importlib.import_module(info.name)
        if module.__file__ is None:
            continue
        tree = ast.parse(Path(module.__file__).read_text("utf-8"))
        yield from _constants(info.name, vars(module), tree)
        yield from _at_once(info.name, tree)


def _constants(module: str, names: dict[str, Any], tree: ast.AST) -> Iterator[Used]:
    calls = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    for name, value in names.items():
        for pattern in _within(value):
            methods = {METHODS[m] for n, m in calls if n == name and m in METHODS}
            for method in sorted(methods or {"fullmatch", "search"}):
                yield Used(f"{module}.{name}", pattern, method)


def _within(value: object, depth: int = 0) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth < 3 and isinstance(value, dict):
        for one in value.values():
            yield from _within(one, depth + 1)
    elif depth < 3 and isinstance(value, tuple | list | frozenset | set):
        for one in value:
            yield from _within(one, depth + 1)


def _at_once(module: str, tree: ast.AST) -> Iterator[Used]:
    """`re.fullmatch(r"…", text)`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re"), attr=method),
                args=[ast.Constant(value=str(text)), *_],
            ) if method in METHODS:
                yield Used(f"{module}:{node.lineno}", re.compile(text), METHODS[method])


def texts(pattern: re.Pattern[Any]) -> Iterator[Any]:
    """Made of what the pattern names: a beginning, something again and again, an end that fits
    none. Single characters come very often, for what looks from each of them to the end."""
    is_text = isinstance(pattern.pattern, str)
    source = pattern.pattern if is_text else pattern.pattern.decode("latin-1")
    letters = _letters(source)
    pairs = list(map("".join, itertools.permutations(letters[:7], 2)))[:MOST_PAIRS]
    starts = _starts(source, letters)
    for start, pump, end in itertools.product(starts, letters, ENDS):
        text = start, pump * (OFTEN if start in starts[:2] else LESS_OFTEN), end
        yield text if is_text else tuple(part.encode("latin-1") for part in text)
    for start, pump, end in itertools.product(starts, pairs, ENDS):
        text = start, pump * LESS_OFTEN, end
        yield text if is_text else tuple(part.encode("latin-1") for part in text)


def _letters(source: str) -> list[str]:
    """A character of each kind that it mentions."""
    plain = re.sub(r"\\[wdsWDSbBAZ]|\(\?[^)]*?[>:=!]|[()|^?*+{}\[\]]", "", source)
    named = [c for c in dict.fromkeys(plain) if c.isprintable()]
    signs = [c for c in named if not c.isalnum()]
    words = [c for c in named if c.isalnum()]
    return [*dict.fromkeys(["a", "0", " ", *words[:2], *signs, "A", "\\", "\n"])][:12]


def _starts(source: str, letters: list[str]) -> list[str]:
    """Nothing, and what stands at its head and at each of its literal words."""
    words = re.findall(r"[A-Za-z][A-Za-z:/=-]{2,}", source)
    return ["", *dict.fromkeys([*words[:2], letters[0]])]
