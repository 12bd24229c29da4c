"""What the server in the test's process asks its database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from fhir_server.store.doorbell import CHANNEL
from fhir_server.store.session import Session


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL texts that are sent within the block for what is asked, in order. The doorbell's are
    not: it rings afterwards, for whatever committed meanwhile."""
    heard: list[str] = []
    fetch, execute, execute_all = Session.fetch, Session.execute, Session.execute_all

    async def fetched(self: Session, sql: str, args: Any = None) -> Any:
        if CHANNEL not in sql:
            heard.append(sql)
        return await fetch(self, sql, args)

    async def executed(self: Session, sql: str, args: Any = None) -> int:
        heard.append(sql)
        return await execute(self, sql, args)

    async def executed_all(self: Session, statements: Sequence[tuple[str, Any]]) -> list[int]:
        heard.extend(sql for sql, _ in statements)
        return await execute_all(self, statements)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "fetch", fetched)
        patch.setattr(Session, "execute", executed)
        patch.setattr(Session, "execute_all", executed_all)
        yield heard
