"""The official examples and validator cases beside the project; absent from a mere clone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
EXAMPLES = SHARED / "r4-examples"
CASES = SHARED / "validator-cases"
PATCHES = SHARED / "patch-cases"

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs the official examples and cases in ../shared"
)


def examples() -> list[Path]:
    """The files of the official R4 example resources; none in a mere clone."""
    return sorted(EXAMPLES.glob("*.json"))


def cases() -> list[dict[str, Any]]:
    """The index of the official validator cases; empty in a mere clone."""
    index = CASES / "index.json"
    return json.loads(index.read_text("utf-8")) if index.exists() else []


def patches(name: str) -> list[dict[str, Any]]:
    """The patch cases of that file; empty in a mere clone."""
    file = PATCHES / name
    return json.loads(file.read_text("utf-8")) if file.exists() else []
