"""The pages around a page: next, previous and last.

Each is a cursor, "" where it is the page that needs none, or None where there is no such page. The
last page is read from the end backwards, so it costs what the first one does, and is as full.
https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from fhir_server.store.search.cursor import Place

# The sort values of a page's first and last row.
Ends = tuple[Sequence[Any], Sequence[Any]]


class Write(Protocol):
    """Makes the cursor after or before a row."""

    def __call__(self, values: Sequence[Any], *, before: bool = False) -> str: ...


class Around(NamedTuple):
    """Cursors of the pages around one."""

    next: str | None = None
    previous: str | None = None
    last: str | None = None


NOTHING_AROUND: Final = Around()


def around(write: Write, place: Place | None, ends: Ends | None, *, more: bool) -> Around:
    """What lies around the page at `place`; `more` says that rows follow in the direction in
    which it was read."""
    following = write(ends[1]) if ends and more else None
    if place is None:
        return Around(following, None, write((), before=True) if more else "")
    end = write((), before=True)
    if place.before:
        previous = write(ends[0], before=True) if ends and more else None
        return Around(_following(write, place, ends), previous, end)
    # Whatever has become of the row before the page: there was one.
    previous = write(ends[0], before=True) if ends else end
    return Around(following, previous, end)


def _following(write: Write, place: Place, ends: Ends | None) -> str | None:
    """The page after one that was read backwards."""
    if not place.values:
        return None
    # Where nothing is left before the place, the first page follows.
    return write(ends[1]) if ends else ""
