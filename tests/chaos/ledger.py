"""What the server has acknowledged, and how it answered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ledger:
    """One load's: `messages` by the word that each carries, the id it was given; `counts` are the
    numbers a counter was acknowledged to have held; `told` are events that the bus took."""

    messages: dict[str, str] = field(default_factory=dict)
    counts: set[int] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    late: int = 0

    @property
    def acknowledged(self) -> int:
        """Writes of all kinds."""
        return len(self.messages) + len(self.counts)
