"""The events that committed with their resources, in the order they were numbered."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from sqlalchemy import BigInteger, bindparam, cast, select
from sqlalchemy.dialects.postgresql import JSON

from fhir_server.store.session import Session
from fhir_server.store.sql import sql_text
from fhir_server.store.tables import Tables
from fhir_server.store.write import OutboxEvent

Numbered = tuple[int, OutboxEvent]


class Outbox:
    """Reads the session's tenant's events."""

    def __init__(self, tables: Tables) -> None:
        table = tables.outbox
        columns = table.c.seq, table.c.id, table.c.type, table.c.subject, table.c.time
        self._after = sql_text(
            select(*columns, cast(table.c.data, JSON))
            .where(table.c.seq > cast(bindparam("seq"), BigInteger))
            .order_by(table.c.seq)
            .limit(bindparam("limit"))
        )

    async def after(self, session: Session, seq: int, limit: int = 100) -> Sequence[Numbered]:
        """Events numbered above `seq`. Numbers are given before a commit: one may turn up
        below a number already seen, so this is for watching, not for delivery."""
        rows = await session.fetch(self._after, {"seq": seq, "limit": limit})
        return [
            (n, OutboxEvent(id, type, subject, time, orjson.loads(data)))
            for n, id, type, subject, time, data in rows
        ]
