"""A real terminology server on a free port, that can be made to fail."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import orjson

from tests.support.server import double, threaded

Mode = Literal[
    "well", "refusing", "broken", "forbidden", "garbage", "list", "hanging", "huge", "expanding"
]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "not-found", "details": {"text": "no such code"}}],
}
ANSWER = {
    "resourceType": "Parameters",
    "parameter": [{"name": "display", "valueString": "From afar"}],
}
EXPANSION = {
    "resourceType": "ValueSet",
    "expansion": {
        "contains": [
            {"system": "http://afar", "abstract": True, "code": "all",
             "contains": [{"system": "http://afar", "code": "x"}]},
            {"system": "http://afar", "code": "y"},
        ]
    },
}  # fmt: skip
REPLIES: dict[Mode, tuple[int, bytes]] = {
    "well": (200, orjson.dumps(ANSWER)),
    "refusing": (404, orjson.dumps(OUTCOME)),
    "expanding": (200, orjson.dumps(EXPANSION)),
    "broken": (500, orjson.dumps(OUTCOME)),
    "forbidden": (401, orjson.dumps(OUTCOME)),
    "garbage": (200, b"<html>"),
    "list": (200, b"[]"),
    "hanging": (200, b"{}"),
    "huge": (200, b" " * 21_000_000),
}


class Terminology:
    """`asked` holds the path, headers and body of each request."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/r4"
        self.reset()

    def reset(self) -> None:
        self.mode: Mode = "well"
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((scope["path"], headers, orjson.loads(body)))
        if self.mode == "hanging":
            await asyncio.sleep(3)
        status, answer = REPLIES[self.mode]
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer})


@contextmanager
def serving() -> Iterator[Terminology]:
    """Answers until the block ends."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = Terminology(listener.getsockname()[1])
    with threaded(double(app), [listener]):
        yield app
        listener.close()
