"""How values cross between Python and PostgreSQL, where psycopg's own way costs too much.

psycopg looks through every list for its type, element by element. Each array parameter of this
server stands in a cast, so a plain literal says enough.
https://www.postgresql.org/docs/current/arrays.html#ARRAYS-INPUT
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader


class BodyLoader(Loader):
    """Stored JSON text as bytes: it is answered as it lies, so it is never parsed here."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class ArrayDumper(Dumper):
    """A list as an array literal, of the type that the statement casts it to."""

    def dump(self, obj: Sequence[Any]) -> bytes:
        return ("{" + ",".join(map(_element, obj)) + "}").encode()


def _element(value: object) -> str:
    if type(value) is int:
        return str(value)
    if value is None:
        return "NULL"
    text = str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def adapt(connection: AsyncConnection[Any]) -> None:
    """Teaches one connection both."""
    connection.adapters.register_loader("json", BodyLoader)
    connection.adapters.register_dumper(list, ArrayDumper)
