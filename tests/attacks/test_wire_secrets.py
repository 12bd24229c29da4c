"""Secrets are compared in constant time, and a forged one is not even read.

https://codahale.com/a-lesson-in-timing-attacks/
"""

from __future__ import annotations

import ast
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fhir_server
from fhir_server.problems import Problem
from fhir_server.store.search.cursor import Cursors

PACKAGE = Path(fhir_server.__file__).parent
SECRET = re.compile(r"signature|hmac|secret|password|passphrase|_mac\b|cursor_key", re.IGNORECASE)


def compared(tree: ast.AST) -> list[str]:
    """What is compared with == or looked for in something, as text."""
    kinds = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and any(isinstance(op, kinds) for op in node.ops)
    ]


def test_no_secret_is_compared_but_in_constant_time() -> None:
    for file in PACKAGE.rglob("*.py"):
        source = file.read_text("utf-8")
        if SECRET.search(source):
            found = [text for text in compared(ast.parse(source)) if SECRET.search(text)]
            assert not found, (file, found)


def test_whoever_signs_with_a_secret_compares_in_constant_time() -> None:
    for file in PACKAGE.rglob("*.py"):
        source = file.read_text("utf-8")
        if re.search(r"\bhmac\b|blake2b\(key=", source):
            assert "hmac.compare_digest(" in source, file


def test_the_walk_would_find_one() -> None:
    for bad in ("signature == given", "if self._secret != x: pass", "given in secrets_of(x)"):
        assert SECRET.search(compared(ast.parse(bad))[0])


def text_of(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


CURSORS = Cursors(b"k" * 32)
SCOPE = b"scope"


@given(st.binary(max_size=80), st.lists(st.text(max_size=5), max_size=3))
def test_a_forged_cursor_is_refused_before_it_is_read(raw: bytes, values: list[str]) -> None:
    """Whatever it holds: JSON, a good content under another signature, nothing."""
    good = CURSORS.write(SCOPE, values)
    signed = urlsafe_b64decode(good + "=" * (-len(good) % 4))
    size = len(signed) - len(orjson.dumps(values))
    for forged in (raw, raw + signed[size:], signed[:size] + raw, signed[:-1], signed + raw[:1]):
        if forged == signed:
            continue
        with pytest.raises(Problem) as refused:
            CURSORS.read(SCOPE, (), text_of(forged))
        assert refused.value.status == 400
    for scope, cursors in ((b"other", CURSORS), (SCOPE, Cursors(b"j" * 32))):
        with pytest.raises(Problem):
            cursors.read(scope, (), good)


def test_each_comparison_is_of_the_whole_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bytes, bytes]] = []
    really = hmac.compare_digest

    def observed(a: bytes, b: bytes) -> bool:
        seen.append((a, b))
        return really(a, b)

    monkeypatch.setattr(hmac, "compare_digest", observed)
    good = urlsafe_b64decode(CURSORS.write(SCOPE, ["a"]) + "==")
    for changed in range(16):
        forged = bytes(b ^ (n == changed) for n, b in enumerate(good))
        with pytest.raises(Problem):
            CURSORS.read(SCOPE, (), text_of(forged))
    assert len(seen) == 16
    assert all(len(a) == len(b) == 16 for a, b in seen)
