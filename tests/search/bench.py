"""Writes resources and searches them, without the floors above the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from fhir_server.context import Context
from fhir_server.definitions.model import Definitions
from fhir_server.store.access import Access
from fhir_server.store.index import Indexer
from fhir_server.store.pool import build_pool
from fhir_server.store.search import Derived, Page, Planner
from fhir_server.store.session import Sessions
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables, build_tables
from fhir_server.store.write import Change, Writer
from fhir_server.terminology import build_terminologies

Resource = dict[str, Any]
Pairs = Sequence[tuple[str, str]]
KEY = b"a test's key"


@dataclass(frozen=True)
class Bench:
    definitions: Definitions
    sessions: Sessions
    writer: Writer
    indexer: Indexer
    planner: Planner
    access: Access
    tables: Tables

    def _repr_pretty_(self, printer: Any, _cycle: object) -> None:
        """Hypothesis would print all definitions."""
        printer.text("bench")

    @staticmethod
    @asynccontextmanager
    async def on(url: str, definitions: Definitions) -> AsyncIterator[Bench]:
        tables = build_tables(definitions.types)
        terms = build_terminologies(definitions, None, 1).codes
        access = Access(definitions, tables, terms)
        sessions = Sessions(build_pool(url, size=2, timeout=10))
        planner = Planner(definitions, tables, access, KEY, terms=terms)
        await sessions.open()
        try:
            writer, indexer = Writer(tables), Indexer(definitions)
            yield Bench(definitions, sessions, writer, indexer, planner, access, tables)
        finally:
            await sessions.close()

    async def put(self, tenant: str, resources: Iterable[Resource]) -> None:
        async with self.sessions.session(service(tenant)) as session, session.transaction():
            for resource in resources:
                sql, args = self.writer.statement(tenant, [self._change(tenant, resource)])
                await session.fetch(sql, args)

    def _change(self, tenant: str, resource: Resource) -> Change:
        kind = resource["resourceType"]
        updated = datetime.now(UTC)
        if "lastUpdated" in resource.get("meta", {}):
            updated = datetime.fromisoformat(resource["meta"]["lastUpdated"])
        stored = Stored(kind, resource["id"], 1, updated, orjson.dumps(resource))
        return Change("create", stored, self.indexer.row(tenant, kind, resource), None)

    async def page(
        self,
        ctx: Context,
        kind: str,
        params: Pairs,
        *,
        derived: Sequence[Derived] = (),
        required: Pairs = (),
    ) -> Page:
        query = self.planner.plan(ctx, kind, params, derived=derived, required=required)
        async with self.sessions.session(ctx) as session:
            return await self.planner.run(session, query)

    async def ids(self, ctx: Context, kind: str, params: Pairs) -> list[str]:
        """Ids of all matches, page after page, in order."""
        found: list[str] = []
        cursor: list[tuple[str, str]] = []
        while True:
            page = await self.page(ctx, kind, [*params, *cursor])
            found += [stored.id for stored in page.matches]
            if page.next is None:
                return found
            cursor = [("_cursor", page.next)]


def service(tenant: str) -> Context:
    return Context(tenant, "service", roles=frozenset({"SERVICE"}))
