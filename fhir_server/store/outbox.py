"""The events that committed with their resources: watched in the order they were numbered, and
claimed for publishing.

Numbers are given before a commit, so one may turn up below a number already seen, and "all above
the last one" would lose it. A claim therefore asks for what *waits*, not for what is new. It takes
the first waiting events of each aggregate, of which it locks the very first, its head: whoever
holds the head has the aggregate. Another publisher skips locked heads (SKIP LOCKED), and with them
everything behind them, so two publishers share the work and an aggregate's events still leave in
their order. Within an aggregate that order is the one of commits: its writers wait for each other's
row lock before they take a number. A head whose lock came free since the statement began is looked
at again by PostgreSQL; it then waits no longer, and is not claimed twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from fhir_server.store.session import Row, Session
from fhir_server.store.tables import WAITING
from fhir_server.store.write import OutboxEvent

Numbered = tuple[int, OutboxEvent]
# Waiting events that one claim looks at, and aggregates that it takes of them at most.
LOOK: Final = 500
SHARE: Final = 100
BATCH: Final = 1_000

_EVENT: Final = "seq, id, type, subject, time, data::json"
_AFTER: Final = f"""
SELECT {_EVENT} FROM outbox WHERE seq > %(seq)s::bigint ORDER BY seq LIMIT %(limit)s::int
"""
_CLAIM: Final = f"""
WITH waiting AS (SELECT * FROM outbox WHERE {WAITING} ORDER BY seq LIMIT %(look)s::int),
head AS (
  SELECT seq, subject FROM outbox
   WHERE seq IN (SELECT min(seq) FROM waiting GROUP BY subject) AND {WAITING}
     AND (retry IS NULL OR retry <= %(now)s::timestamptz)
   ORDER BY seq LIMIT %(share)s::int FOR UPDATE SKIP LOCKED
)
SELECT {_EVENT}, tries FROM waiting WHERE subject IN (SELECT subject FROM head) ORDER BY seq
"""
_PUBLISHED: Final = """
UPDATE outbox SET published = %(now)s::timestamptz, retry = NULL WHERE seq = ANY(%(seqs)s::bigint[])
"""
_RETRY: Final = """
UPDATE outbox SET tries = tries + 1, retry = %(retry)s::timestamptz WHERE seq = %(seq)s::bigint
"""
_DEAD: Final = """
UPDATE outbox SET tries = tries + 1, dead = %(now)s::timestamptz, failure = %(failure)s::text
 WHERE seq = %(seq)s::bigint
"""
_LETTERS: Final = f"""
SELECT {_EVENT}, dead, failure, tries FROM outbox WHERE dead IS NOT NULL ORDER BY seq
"""
_REPLAY: Final = """
UPDATE outbox SET dead = NULL, failure = NULL, tries = 0, retry = NULL
 WHERE dead IS NOT NULL AND (%(id)s::text IS NULL OR id = %(id)s::text)
"""
_WAITING: Final = f"SELECT count(*) FROM outbox WHERE {WAITING}"
_SWEEP: Final = """
DELETE FROM outbox WHERE seq IN (
  SELECT seq FROM outbox WHERE published < %(before)s::timestamptz
   ORDER BY published LIMIT %(limit)s::int FOR UPDATE SKIP LOCKED)
"""


class Claimed(NamedTuple):
    """An event to publish, which was tried so often before."""

    seq: int
    event: OutboxEvent
    tries: int


class DeadLetter(NamedTuple):
    """An event that was given up, when and why."""

    event: OutboxEvent
    dead: datetime
    failure: str
    tries: int


class Outbox:
    """The session's tenant's events."""

    async def after(self, session: Session, seq: int, limit: int = 100) -> Sequence[Numbered]:
        """Events numbered above `seq`: for watching, not for delivery."""
        rows = await session.fetch(_AFTER, {"seq": seq, "limit": limit})
        return [(row[0], _event(row)) for row in rows]

    async def claim(self, session: Session, now: datetime) -> list[Claimed]:
        """What waits, in order within each aggregate; held until the session's transaction ends."""
        rows = await session.fetch(_CLAIM, {"now": now, "look": LOOK, "share": SHARE})
        return [Claimed(row[0], _event(row), row[6]) for row in rows]

    async def published(self, session: Session, seqs: Sequence[int], now: datetime) -> None:
        await session.execute(_PUBLISHED, {"seqs": list(seqs), "now": now})

    async def retry(self, session: Session, seq: int, at: datetime) -> None:
        """It failed, and may be tried again then; what follows in its aggregate waits for it."""
        await session.execute(_RETRY, {"seq": seq, "retry": at})

    async def bury(self, session: Session, seq: int, now: datetime, failure: str) -> None:
        """It is given up; what follows in its aggregate goes on. `failure` quotes no data."""
        await session.execute(_DEAD, {"seq": seq, "now": now, "failure": failure})

    async def dead(self, session: Session) -> list[DeadLetter]:
        """Events given up, oldest first."""
        rows = await session.fetch(_LETTERS)
        return [DeadLetter(_event(row), *row[6:]) for row in rows]

    async def replay(self, session: Session, id: str | None = None) -> int:
        """Lets dead letters wait again, all or that one; how many they were."""
        return await session.execute(_REPLAY, {"id": id})

    async def waiting(self, session: Session) -> int:
        """How many are not published yet."""
        rows = await session.fetch(_WAITING)
        return int(rows[0][0])

    async def sweep(self, session: Session, before: datetime, limit: int = BATCH) -> int:
        """Removes at most `limit` events published before then; how many they were."""
        return await session.execute(_SWEEP, {"before": before, "limit": limit})


def _event(row: Row) -> OutboxEvent:
    _, id, type, subject, time, data = row[:6]
    return OutboxEvent(id, type, subject, time, _parsed(data))


def _parsed(data: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = orjson.loads(data)
    return found
