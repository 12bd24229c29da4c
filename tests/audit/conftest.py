"""What the tests of the audit trail share: the trail's events as ADMIN sees them, by SQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import psycopg
import pytest

from tests.support.clinic import Clinic

Event = dict[str, Any]
PATIENCE = 30.0


class Book:
    """A tenant's AuditEvents in the order in which they were written, read past the server."""

    def __init__(self, connection: psycopg.Connection[Any], tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def events(self) -> list[Event]:
        """All of them."""
        rows = self._connection.execute(
            "SELECT body::text FROM audit_link l, unnest(l.events) WITH ORDINALITY AS e (id, n)"
            " JOIN auditevent a ON a.id = e.id AND a.tenant = %s"
            " WHERE l.tenant = %s ORDER BY l.seq, e.n",
            [self._tenant, self._tenant],
        ).fetchall()
        return [orjson.loads(body) for (body,) in rows]

    def after(self, known: int, least: int = 1) -> list[Event]:
        """Those after the first `known`, as soon as there are `least`."""
        return self.until(lambda events: len(events) >= known + least)[known:]

    def until(self, there: Callable[[list[Event]], bool]) -> list[Event]:
        """All of them, as soon as they are such."""
        deadline = time.monotonic() + PATIENCE
        while not there(found := self.events()):
            assert time.monotonic() < deadline, f"only {len(found)} events"
            time.sleep(0.02)
        return found


NewBook = Callable[[Clinic | str], Book]


@pytest.fixture
def book(database_url: str) -> Iterator[NewBook]:
    """Reads the trail of a clinic or tenant."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield lambda of: Book(connection, of if isinstance(of, str) else of.tenant)
