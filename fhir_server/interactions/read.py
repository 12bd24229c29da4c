"""read, vread and history of one resource.

Whoever may see the current version may see its past; what was deleted is shown to system
clients that may see the whole type, since there is no current version left to judge by.
https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.problems import Problem, forbidden, gone, not_found
from fhir_server.store.access import Access
from fhir_server.store.history import History
from fhir_server.store.search.cursor import Place
from fhir_server.store.search.node import EVERYTHING
from fhir_server.store.session import Session, Sessions
from fhir_server.store.span import ALWAYS, Span
from fhir_server.store.stored import Stored


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Versions newest first; `more` says that there are more in the direction asked for."""

    versions: Sequence[Stored]
    total: int
    more: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads by id; 404 not there, 403 not shown by the access policy, 410 deleted."""

    sessions: Sessions
    access: Access
    history: History

    async def read(
        self, ctx: Context, type: str, id: str, criteria: Sequence[tuple[str, str]] = ()
    ) -> Stored:
        """The current version."""
        async with self.sessions.session(ctx) as session:
            return await self._current(session, ctx, type, id, criteria)

    async def vread(
        self,
        ctx: Context,
        type: str,
        id: str,
        version: int,
        criteria: Sequence[tuple[str, str]] = (),
    ) -> Stored:
        """One version, current or past."""
        async with self.sessions.session(ctx) as session:
            await self._check_open(session, ctx, type, id, criteria)
            found = await self.history.version(session, type, id, version)
        if found is None:
            raise not_found(f"that version of the {type}")
        if not found.body:
            raise gone(f"the {type}")
        return found

    async def versions(
        self,
        ctx: Context,
        type: str,
        id: str,
        *,
        place: Place | None = None,
        limit: int,
        span: Span = ALWAYS,
        criteria: Sequence[tuple[str, str]] = (),
    ) -> HistoryPage:
        """A page of the history."""
        async with self.sessions.session(ctx) as session:
            await self._check_open(session, ctx, type, id, criteria)
            versions, more = await self.history.page(
                session, type, id, place=place, limit=limit, span=span
            )
            total = await self.history.count(session, type, id, span)
        return HistoryPage(versions, total, more)

    async def _check_open(
        self,
        session: Session,
        ctx: Context,
        type: str,
        id: str,
        criteria: Sequence[tuple[str, str]],
    ) -> None:
        try:
            await self._current(session, ctx, type, id, criteria)
        except Problem as problem:
            whole = ctx.is_system and not criteria and self.access.node(ctx, type) == EVERYTHING
            if problem.status != 410 or not whole:
                raise

    async def _current(
        self,
        session: Session,
        ctx: Context,
        type: str,
        id: str,
        criteria: Sequence[tuple[str, str]],
    ) -> Stored:
        sql, args = self.access.read_statement(ctx, type, id, tuple(criteria))
        rows = await session.fetch(sql, args)
        if not rows:
            if await self.history.last_superseded(session, type, [id]):
                raise gone(f"the {type}")
            raise not_found(type)
        version, updated, body, allowed = rows[0]
        if not allowed:
            raise forbidden(f"this {type} is not open to you")
        return Stored(type, id, version, updated, body)
