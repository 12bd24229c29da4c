"""Reading a tenant's chain of links again, and saying where what is stored does not fit it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from fhir_server.context import Context
from fhir_server.fhir.instant import now_text
from fhir_server.store.audit.chain import SUM, link_hash
from fhir_server.store.session import Row, Session, Sessions

PAGE = 20
MOST_OUTSIDE = 1_000
_COUNT = "SELECT count(*), coalesce(max(seq), 0) FROM audit_link"
_LINKS = """
SELECT seq, events, sums, hash FROM audit_link WHERE seq > %(after)s::bigint
 ORDER BY seq LIMIT %(limit)s::bigint
"""
_BODIES = "SELECT id, body, version, updated FROM auditevent WHERE id = ANY(%(ids)s::text[])"
# An event has one version: what stands in the history under its name was slipped in.
_OUTSIDE = """
(SELECT id FROM auditevent EXCEPT SELECT unnest(events) FROM audit_link)
 UNION SELECT id FROM history WHERE type = 'AuditEvent' ORDER BY 1 LIMIT %(limit)s
"""


class Fault(NamedTuple):
    """`kind` is `changed`, `missing`, `outside`, `broken`, `lost` or `truncated`; `place` an
    AuditEvent's id, or the number of a link."""

    kind: str
    place: str
    words: str


class Head(NamedTuple):
    """The last link; `text` is what to keep elsewhere."""

    seq: int
    hash: bytes

    @property
    def text(self) -> str:
        """`12:9f86…`."""
        return f"{self.seq}:{self.hash.hex()}"


class Progress(NamedTuple):
    """How far it is: `links` of `total`, with so many events; what was found on the way."""

    links: int
    total: int
    events: int
    faults: Sequence[Fault]
    head: Head


class Verifier:
    """Verifies one tenant at a time, in the memory of a page of links."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def verify(self, ctx: Context, known: str | None = None) -> AsyncIterator[Progress]:
        """Progress after each page; `known` is a head that was printed before (`SEQ:HASH`, or
        the hash alone), which the chain must still contain."""
        walk = _Walk(known)
        total = await self._total(ctx)
        while page := await self._page(ctx, walk.seq):
            faults = [fault for link, bodies in page for fault in walk.check(link, bodies)]
            yield Progress(walk.links, max(total, walk.links), walk.events, faults, walk.head)
        faults = [*walk.end(), *await self._outside(ctx)]
        yield Progress(walk.links, walk.links, walk.events, faults, walk.head)

    async def _total(self, ctx: Context) -> int:
        async with self._sessions.session(ctx) as session:
            rows = await session.fetch(_COUNT)
        return int(rows[0][0])

    async def _page(self, ctx: Context, after: int) -> list[tuple[Row, dict[str, bytes]]]:
        async with self._sessions.session(ctx) as session:
            links = await session.fetch(_LINKS, {"after": after, "limit": PAGE})
            return [(link, await _bodies(session, link[1])) for link in links]

    async def _outside(self, ctx: Context) -> list[Fault]:
        async with self._sessions.session(ctx) as session, session.transaction():
            await session.execute("SET LOCAL statement_timeout = 0")
            rows = await session.fetch(_OUTSIDE, {"limit": MOST_OUTSIDE})
        return [Fault("outside", id, "no link names this event") for (id,) in rows]


async def _bodies(session: Session, ids: Sequence[str]) -> dict[str, bytes]:
    """Empty where the row says another version or time than its body."""
    rows = await session.fetch(_BODIES, {"ids": list(ids)})
    return {
        id: body if _fits(body, version, updated) else b"" for id, body, version, updated in rows
    }


def _fits(body: bytes, version: int, updated: datetime) -> bool:
    """Served beside the body, and what exports are bounded by."""
    said = f'"meta":{{"versionId":"{version}","lastUpdated":"{now_text(updated)}"}}'
    return said.encode() in body


class _Walk:
    """From link to link."""

    def __init__(self, known: str | None) -> None:
        self._known = known.rpartition(":")[2].lower() if known else None
        self._met = known is None
        self.seq, self.links, self.events = 0, 0, 0
        self._hash = b""

    @property
    def head(self) -> Head:
        """The last link so far."""
        return Head(self.seq, self._hash)

    def check(self, link: Row, bodies: dict[str, bytes]) -> list[Fault]:
        """What is wrong with a link and its events."""
        seq, ids, sums, found = link
        faults = []
        if seq != self.seq + 1:
            last = seq - 1
            words = "links are missing" if last > self.seq + 1 else "the link is missing"
            place = f"{self.seq + 1}" if last == self.seq + 1 else f"{self.seq + 1} to {last}"
            faults.append(Fault("lost", place, words))
        elif link_hash(self._hash, seq, sums, ids) != found:
            faults.append(Fault("broken", str(seq), "the link's hash is not that of its content"))
        faults += _events(ids, sums, bodies)
        self.seq, self._hash = seq, bytes(found)
        self.links, self.events = self.links + 1, self.events + len(ids)
        self._met = self._met or self._hash.hex() == self._known
        return faults

    def end(self) -> list[Fault]:
        """The head that was known must have been met."""
        if self._met:
            return []
        return [Fault("truncated", str(self.seq), "the chain does not contain the head given")]


def _events(ids: Sequence[str], sums: bytes, bodies: dict[str, bytes]) -> list[Fault]:
    faults = []
    for n, id in enumerate(ids):
        body = bodies.get(id)
        if body is None:
            faults.append(Fault("missing", id, "the event is not there any more"))
        elif sha256(body).digest() != sums[n * SUM : (n + 1) * SUM]:
            faults.append(Fault("changed", id, "the event is not what was recorded"))
    return faults
