"""Writing AuditEvents: a batch of one tenant in one transaction, with the link that seals it.

A link names its events, the SHA-256 of each stored body, and hashes all that together with the
hash of the link before it. Whoever changes, removes or inserts an event must write all later
links anew, which a hash that was kept elsewhere shows. Several servers lengthen one chain: a lock
of the tenant's, held until the commit, puts their links in one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from fhir_server.store.session import Session

SUM: Final = 32
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('audit ' || %(tenant)s::text, 0))"
# The columns are those of the table auditevent; the link follows the last one of the tenant.
# Lists come as one text each: an array's literal would have every quote of the JSON escaped.
_APPEND = """
WITH given AS MATERIALIZED (
  SELECT * FROM unnest(string_to_array(%(ids)s::text, E'\\n'),
                       string_to_array(%(at)s::text, E'\\n')::timestamptz[],
                       string_to_array(%(bodies)s::text, E'\\n'),
                       string_to_array(%(keys)s::text, E'\\n'),
                       string_to_array(%(sorts)s::text, E'\\n'))
         WITH ORDINALITY AS r (id, at, body, keys, sorts, n)
), stored AS (
  INSERT INTO auditevent (tenant, id, version, updated, body, indexed, keys, sorts, made,
                          p_date, p_date_high)
  SELECT %(tenant)s::text, id, 1, at, body::json, %(indexed)s::bigint, keys::bigint[],
         sorts::jsonb, 'POST 201', at, at + interval '1 millisecond'
    FROM given
), sealed AS (
  SELECT array_agg(id ORDER BY n) AS ids,
         string_agg(sha256(convert_to(body, 'UTF8')), ''::bytea ORDER BY n) AS sums
    FROM given
), last AS (
  SELECT seq, hash FROM audit_link ORDER BY seq DESC LIMIT 1
)
INSERT INTO audit_link (tenant, seq, events, sums, hash)
SELECT %(tenant)s::text, n.seq, ids, sums,
       sha256(n.hash || int8send(n.seq) || sums
              || convert_to(array_to_string(ids, ','), 'UTF8'))
  FROM sealed, (SELECT coalesce((SELECT seq FROM last), 0) + 1 AS seq,
                       coalesce((SELECT hash FROM last), ''::bytea) AS hash) AS n
"""
_THERE = "SELECT count(*) FROM auditevent WHERE id = ANY(%(ids)s::text[])"


class Entry(NamedTuple):
    """An AuditEvent as a row: `at` is when it was recorded, to the millisecond."""

    id: str
    at: str
    body: str
    keys: str
    sorts: str


class Chain:
    """Appends to the chain of the session's tenant; `indexed` is the columns' fingerprint."""

    def __init__(self, indexed: int) -> None:
        self._indexed = indexed

    async def append(self, session: Session, tenant: str, entries: Sequence[Entry]) -> None:
        """All of them under one link, or none."""
        ids, at, bodies, keys, sorts = map("\n".join, zip(*entries, strict=True))
        args: dict[str, Any] = {
            "tenant": tenant,
            "indexed": self._indexed,
            "ids": ids,
            "at": at,
            "bodies": bodies,
            "keys": keys,
            "sorts": sorts,
        }
        async with session.transaction():
            await session.execute_all([(_LOCK, {"tenant": tenant}), (_APPEND, args)])

    async def holds(self, session: Session, entries: Sequence[Entry]) -> bool:
        """Whether they are there: asked where it is not known how an attempt ended."""
        rows = await session.fetch(_THERE, {"ids": [entry.id for entry in entries]})
        return bool(rows[0][0] == len(entries))


def link_hash(previous: bytes, seq: int, sums: bytes, ids: Sequence[str]) -> bytes:
    """The hash of a link, as the database computes it."""
    return sha256(previous + seq.to_bytes(8, "big") + sums + ",".join(ids).encode()).digest()
