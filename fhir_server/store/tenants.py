"""Which licences a tenant holds."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Text, bindparam, cast, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from fhir_server.store.session import Session
from fhir_server.store.sql import sql_text
from fhir_server.store.tables import Tables

NAMES = "SELECT DISTINCT name FROM fhir_server_tenants() AS listed (name) ORDER BY name"


class Tenants:
    """Reads and writes the session's tenant."""

    def __init__(self, tables: Tables) -> None:
        table = tables.tenant
        values = insert(table).values(
            tenant=cast(bindparam("tenant"), Text), modules=cast(bindparam("modules"), ARRAY(Text))
        )
        self._select = sql_text(select(table.c.modules))
        self._upsert = sql_text(
            values.on_conflict_do_update(
                index_elements=["tenant"], set_={"modules": values.excluded.modules}
            )
        )

    async def modules(self, session: Session) -> frozenset[str]:
        """The licences; none for a tenant that is not known."""
        rows = await session.fetch(self._select)
        return frozenset(rows[0][0]) if rows else frozenset()

    async def names(self, session: Session) -> list[str]:
        """Every tenant that has rows, in order; nothing but names crosses row-level security."""
        rows = await session.fetch(NAMES)
        return [name for (name,) in rows]

    async def license(self, session: Session, tenant: str, modules: Iterable[str]) -> None:
        """Sets the tenant's licences."""
        await session.execute(self._upsert, {"tenant": tenant, "modules": sorted(modules)})
