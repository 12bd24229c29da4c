"""Lets the server answer one request of each scenario and keeps what it asked the database.

A request is answered a few times first, so that what is kept is the settled way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, cast

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import compile_path
from starlette.types import Message

from bench.corpus import Corpus
from bench.recording import Recording, Statement
from bench.scenario import SEQUENCE, Scenario, new_id
from bench.workload import requests
from fhir_server.app import create_app
from fhir_server.settings import Settings
from fhir_server.store.session import Args, Row, Session

WARM = 3
_heard: ContextVar[list[Statement] | None] = ContextVar("heard", default=None)


async def record(
    settings: Settings, scenarios: Sequence[Scenario], corpus: Corpus, token: str
) -> dict[str, Recording]:
    """By name; a scenario that the server has no route for is left out."""
    found = {}
    async with _started(create_app(settings)) as app:
        for scenario in scenarios:
            samples = requests(scenario.name, corpus, token)[: WARM + 1]
            for sample in samples:
                recording = await _record(app, scenario, sample)
            if recording.status != 404:
                found[scenario.name] = recording
    return found


@asynccontextmanager
async def _started(app: FastAPI) -> AsyncIterator[FastAPI]:
    async with app.router.lifespan_context(app):
        yield app


async def _record(app: FastAPI, scenario: Scenario, sample: bytes) -> Recording:
    scope, body = _scope(scenario, sample.replace(SEQUENCE, new_id().encode()))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    with _listening() as statements:
        await app(dict(scope), receive, send)
    start, answer = sent[0], b"".join(m.get("body", b"") for m in sent[1:])
    marks = scenario.marks(Request(scope), body)
    if scenario.creates and start["status"] == 201:
        marks.append(_created(statements))
    headers = [(k, v) for k, v in start["headers"] if k != b"content-length"]
    return Recording(scenario.name, statements, start["status"], headers, answer, marks)


def _created(statements: Sequence[Statement]) -> str:
    return next(str(s.args["r_id"]) for s in statements if "r_id" in s.args)


def _scope(scenario: Scenario, sample: bytes) -> tuple[dict[str, Any], bytes]:
    head, _, body = sample.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    found = compile_path(scenario.route)[0].match(path)
    assert found is not None, path
    headers = [line.partition(": ")[::2] for line in lines]
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "path_params": found.groupdict(),
    }, body


@contextmanager
def _listening() -> Iterator[list[Statement]]:
    """What this task asks, and not what workers beside it do."""
    heard: list[Statement] = []
    fetch, execute = Session.fetch, Session.execute

    async def fetched(self: Session, sql: str, args: Args | None = None) -> list[Row]:
        _hear(Statement(sql, dict(args or {}), fetches=True))
        return await fetch(self, sql, args)

    async def executed(self: Session, sql: str, args: Args | None = None) -> int:
        _hear(Statement(sql, dict(args or {}), fetches=False))
        return await execute(self, sql, args)

    methods = cast(Any, Session)
    methods.fetch, methods.execute = fetched, executed
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)
        methods.fetch, methods.execute = fetch, execute


def _hear(statement: Statement) -> None:
    heard = _heard.get()
    if heard is not None:
        heard.append(statement)
