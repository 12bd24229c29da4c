"""A network between the server under test and its database that can be cut, or fall silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from psycopg.conninfo import conninfo_to_dict

# `silent`: nothing passes, and new connections are taken and left so, as by a host that lost power
# behind a load balancer. `deaf`: what the client says arrives, what the server answers does not.
Mode = Literal["open", "silent", "deaf"]


class Proxy:
    """Passes what comes to its `port` on to the database whose URL `target` gives at that time."""

    def __init__(self, target: Callable[[], str]) -> None:
        self.port = 0
        self._target = target
        self._mode: Mode = "open"
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Takes connections until the end of the block."""
        started = threading.Event()
        thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    def be(self, mode: Mode) -> None:
        """From now on, for old connections and new ones."""
        self._mode = mode

    def cut(self) -> None:
        """Ends all connections at once, with a reset."""

        def reset() -> None:
            for writer in tuple(self._writers):
                _reset(writer)

        self._loop.call_soon_threadsafe(reset)

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._taken, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for writer in tuple(self._writers):
            _reset(writer)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # in which the transports close their sockets

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await _opened(self._target())
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(
                self._pass(reader, back, {"silent"}), self._pass(there, writer, {"silent", "deaf"})
            )
        finally:
            self._writers -= {writer, back}
            _reset(writer)
            _reset(back)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallowed_in: set[str]
    ) -> None:
        """What was swallowed never comes: a connection that missed something is silent for good."""
        silent = False
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                silent = silent or self._mode in swallowed_in
                if not silent:
                    writer.write(data)
                    await writer.drain()
        if not silent:
            writer.close()


async def _opened(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = conninfo_to_dict(url)
    host, port = str(place["host"]), int(place.get("port") or 5432)
    if host.startswith("/"):
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    return await asyncio.open_connection(host, port)


def _reset(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
    writer.transport.abort()
