"""What counts requests: in this process, or in Redis for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Wanted(NamedTuple):
    """At most `most` in any `seconds` under that key."""

    key: str
    most: int
    seconds: int


class Counts(NamedTuple):
    """Whether one more was let through, how many each key has had in its time, and in how many
    seconds the oldest of them will count no more."""

    allowed: bool
    used: Sequence[int]
    frees: Sequence[float]


class Counter(Protocol):
    """A log of the last requests for each key."""

    async def take(self, wanted: Sequence[Wanted]) -> Counts:
        """Counts one request under every key, or under none where one key is full."""

    async def aclose(self) -> None:
        """Gives up what it holds."""
