"""Removing idempotent answers whose time is over; until then they already count as unused."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, delete, select, tuple_

from fhir_server.store.session import Session
from fhir_server.store.sql import sql_text
from fhir_server.store.tables import Tables

BATCH = 1_000


class Sweeper:
    """Sweeps the session's tenant."""

    def __init__(self, tables: Tables) -> None:
        table = tables.idempotency
        key = table.c.caller, table.c.key
        expired = (
            select(*key)
            .where(table.c.expires <= bindparam("now", type_=table.c.expires.type))
            .order_by(table.c.expires)
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True)
        )
        self._delete = sql_text(delete(table).where(tuple_(*key).in_(expired)))

    async def sweep(self, session: Session, now: datetime, limit: int = BATCH) -> int:
        """Removes at most `limit` answers that expired before `now`; how many they were."""
        return await session.execute(self._delete, {"now": now, "limit": limit})
