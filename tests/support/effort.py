"""How hard the property tests try: `make fuzz` makes it many times harder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")
FACTOR = int(os.environ.get("FHIR_SERVER_TEST_EFFORT", "1"))


def effort(examples: int) -> int:
    """`max_examples` for a test that takes that many in an ordinary run."""
    return examples * FACTOR


def turns(items: Iterable[T], turn: int, each: int) -> list[T]:
    """In an ordinary run each so many-th cell of a matrix, and others for another `turn`."""
    return [one for n, one in enumerate(items) if FACTOR > 1 or (n + turn) % each == 0]
