"""Running the HTTP server, from the first table to a clean stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

import uvicorn

from fhir_server.database import migrated
from fhir_server.settings import Settings


def serve(settings: Settings, *, demo: bool) -> None:
    """Serves until SIGINT or SIGTERM; with `demo`, loads the demo data first and greets."""
    # uvicorn raises the signal again after its own clean stop; this one unwinds the rest.
    signal.signal(signal.SIGTERM, _exit)
    with suppress(KeyboardInterrupt), migrated(settings) as ready:
        if demo:
            from fhir_server.demo import load

            asyncio.run(load(ready))
        _Server(ready, demo=demo).run()


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


class _Server(uvicorn.Server):
    """uvicorn, saying where it listens once it does."""

    def __init__(self, settings: Settings, *, demo: bool) -> None:
        from fhir_server.app import create_app
        from fhir_server.http.connection import watched

        super().__init__(
            uvicorn.Config(
                create_app(settings),
                host=settings.host,
                port=settings.port,
                http=watched(settings),
                timeout_keep_alive=settings.idle_timeout,
                access_log=False,
                server_header=False,
                log_level="warning",
                timeout_graceful_shutdown=10,
            )
        )
        self._settings = settings
        self._demo = demo

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        # The definitions stay: a collection need not look through them again and again.
        gc.collect()
        gc.freeze()
        address = f"http://{self.config.host}:{self._port()}"
        if self._demo:
            from fhir_server.demo import greeting

            print(greeting(self._settings, address))
        print(f"fhir-server listens on {address}", flush=True)

    def _port(self) -> int:
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port
