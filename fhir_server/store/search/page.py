"""What a search asks of the database, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from fhir_server.store.search.paging import NOTHING_AROUND, Around
from fhir_server.store.stored import Stored

Pair = tuple[str, str]
# The criteria a caller's scopes limit a resource type to; None where they do not allow it.
Reach = Callable[[str], Sequence[Pair] | None]


class Fetches(Protocol):
    """A database session."""

    async def fetch(self, sql: str, args: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows; bodies as bytes."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A sub-search computed for each match: how many, whether any, or the first one's body.

    `params` may use `$this` (the match), `$caller` and `$patient`.
    """

    name: str
    kind: Literal["count", "first", "exists"]
    type: str
    params: Sequence[Pair]


@dataclass(frozen=True, slots=True)
class Page:
    """`derived` runs parallel to `matches`, each in the order the fields were asked for. `total`
    is None where nobody asked and it is not known for free; it may be an estimate where one was
    asked for. `used` are the parameters that took part and `cursor` the one that was given, for
    the self link."""

    matches: list[Stored]
    includes: list[Stored] = field(default_factory=list)
    total: int | None = None
    around: Around = NOTHING_AROUND
    used: list[Pair] = field(default_factory=list)
    derived: list[tuple[Any, ...]] = field(default_factory=list)
    cursor: str = ""

    @property
    def next(self) -> str | None:
        """The cursor of the next page."""
        return self.around.next
