"""What the server in the test's process asks its database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from fhir_server.context import Context
from fhir_server.store.doorbell import CHANNEL
from fhir_server.store.session import Session, Sessions


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL texts that are sent within the block for what is asked, in order. Those are not that
    the server sends for itself meanwhile: the doorbell's, the audit trail's, the publisher's."""
    heard: list[str] = []
    asked = Sessions.session
    # What began before the block is nothing that is asked within it.
    own: ContextVar[bool] = ContextVar("own", default=True)

    @asynccontextmanager
    async def opened(self: Sessions, ctx: Context) -> AsyncIterator[Session]:
        token = own.set(ctx.face == "job")
        try:
            async with asked(self, ctx) as session:
                yield session
        finally:
            own.reset(token)

    def hear(*texts: str) -> None:
        if not own.get():
            heard.extend(sql for sql in texts if CHANNEL not in sql)

    fetch, execute, execute_all = Session.fetch, Session.execute, Session.execute_all

    async def fetched(self: Session, sql: str, args: Any = None) -> Any:
        hear(sql)
        return await fetch(self, sql, args)

    async def executed(self: Session, sql: str, args: Any = None) -> int:
        hear(sql)
        return await execute(self, sql, args)

    async def executed_all(self: Session, statements: Sequence[tuple[str, Any]]) -> list[int]:
        hear(*(sql for sql, _ in statements))
        return await execute_all(self, statements)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sessions, "session", opened)
        patch.setattr(Session, "fetch", fetched)
        patch.setattr(Session, "execute", executed)
        patch.setattr(Session, "execute_all", executed_all)
        yield heard
