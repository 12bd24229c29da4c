"""The real server in a thread of the test's process, so that tests are plain functions."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from fhir_server.app import create_app
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


def double(app: Any) -> uvicorn.Config:
    """How an ASGI application runs that stands in for somebody else's server."""
    return uvicorn.Config(
        app, lifespan="off", ws="none", log_level="critical", timeout_graceful_shutdown=1
    )


@contextmanager
def listening(settings: Settings) -> Iterator[str]:
    """Serves on a free port and gives the address."""
    config = uvicorn.Config(
        create_app(settings),
        port=0,
        http=watched(settings),
        timeout_keep_alive=settings.idle_timeout,
        log_level="warning",
        access_log=False,
    )
    with threaded(config) as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
