"""The floor: what an answer costs when nothing is done but fetching and sending it.

A bare Starlette route and a psycopg pool run the server's own SQL text and answer the same bytes,
without sign-in, tenant, validation or history. Row-level security is out of the way too: the
floor is a superuser that sees the bench's tenant through plain views of the same names.
`python -m bench.floor RECORDING SCHEMA` with DATABASE_URL in the environment prints its port.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.recording import Recording, filler, text_filler
from bench.scenario import SCENARIOS, Scenario, new_id

Row = Sequence[Any]
Render = Callable[[Sequence[Row], Sequence[str]], bytes]
OPTIONS = "-c statement_timeout=30s -c jit=off -c timezone=UTC"
HEAD_END = b'"entry":['


class Bytes(Loader):
    """Stored text as it lies."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


async def configure(connection: AsyncConnection) -> None:
    await connection.set_autocommit(True)
    connection.adapters.register_loader("json", Bytes)


def build(recording: Recording, url: str, schema: str) -> Starlette:
    """The application: one route."""
    pool = AsyncConnectionPool(
        url,
        configure=configure,
        min_size=2,
        max_size=10,
        open=False,
        kwargs={"options": f"{OPTIONS} -c search_path={schema},public"},
    )
    scenario = next(s for s in SCENARIOS if s.name == recording.scenario)
    route = Route(scenario.route, _endpoint(pool, scenario, recording), methods=[scenario.method])

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    return Starlette(routes=[route], lifespan=lifespan)


def _endpoint(
    pool: AsyncConnectionPool, scenario: Scenario, recording: Recording
) -> Callable[[Request], Awaitable[Response]]:
    statements = [(s.sql, filler(s.args, recording.marks)) for s in recording.statements]
    render = _render(recording)
    headers = {k.decode(): v.decode() for k, v in recording.headers}
    posts, creates, status = scenario.method == "POST", scenario.creates, recording.status

    async def endpoint(request: Request) -> Response:
        values = scenario.marks(request, await request.body() if posts else b"")
        if creates:
            values.append(new_id())
        async with pool.connection() as connection:
            for sql, fill in statements:
                cursor = await connection.execute(sql, fill(values))
                rows = await cursor.fetchall()
        return Response(render(rows, values), status, headers)

    return endpoint


def _render(recording: Recording) -> Render:
    if recording.scenario == "read":
        return lambda rows, _: rows[0][2]
    fill = text_filler(recording.body, recording.marks)
    if recording.scenario != "search":
        return lambda _, values: fill(values)
    head, _, entries = recording.body.partition(HEAD_END)
    url, _, rest = entries.partition(b"/Communication/")
    before_id = url + b"/Communication/"
    before_body = rest[36 : rest.index(b"{")]
    fill = text_filler(head + HEAD_END, recording.marks)

    def joined(rows: Sequence[Row], values: Sequence[str]) -> bytes:
        found = [
            before_id + row[0].encode() + before_body + row[3] + b',"search":{"mode":"match"}}'
            for row in rows[:25]
        ]
        return fill(values) + b",".join(found) + b"]}"

    return joined


class _Server(uvicorn.Server):
    """uvicorn, saying where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        address = self.servers[0].sockets[0].getsockname()
        print(f"listens on http://{address[0]}:{address[1]}", flush=True)


def main(recording: str, schema: str) -> None:
    """Serves until it is stopped."""
    known: Recording = pickle.loads(Path(recording).read_bytes())  # noqa: S301  # this run wrote it
    app = build(known, os.environ["DATABASE_URL"], schema)
    _Server(
        uvicorn.Config(app, port=0, access_log=False, server_header=False, log_level="warning")
    ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
