"""The real server in a thread of the test's process, so that tests are plain functions."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn

from fhir_server import app
from fhir_server.http.connection import watched
from fhir_server.settings import Settings


@contextmanager
def threaded(
    config: uvicorn.Config, sockets: list[socket.socket] | None = None
) -> Iterator[uvicorn.Server]:
    """Runs it in a thread, from when it listens until the end of the block."""
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start; see its log")
            time.sleep(0.005)
        yield server
    finally:
        server.should_exit = True
        thread.join()


def double(application: Any) -> uvicorn.Config:
    """How an ASGI application runs that stands in for somebody else's server."""
    return uvicorn.Config(
        application, lifespan="off", ws="none", log_level="critical", timeout_graceful_shutdown=1
    )


@contextmanager
def listening(settings: Settings, *, moving: bool = True) -> Iterator[str]:
    """Serves on a free port and gives the address; unless it is `moving` events, they stay in the
    outbox, for a test to take."""
    config = uvicorn.Config(
        app.create_app(settings),
        port=0,
        http=watched(settings),
        timeout_keep_alive=settings.idle_timeout,
        log_level="warning",
        access_log=False,
    )
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        if not moving:
            patch.setattr(app, "moving_events", lambda *_: AsyncExitStack())
        server = stack.enter_context(threaded(config))
        patch.undo()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
