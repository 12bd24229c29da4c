"""Connections of clients that are slow, silent or too many (slowloris), and their bounds.

uvicorn waits for ever for the end of a request's head, and for a client that does not read what it
was answered. Here every connection looks at itself once a second: nothing is added to a request,
and what a request is answered with is none of its business. What a request's body may take is
bounded where it is read (http/wire.py).
"""

from __future__ import annotations

import socket
import struct
from asyncio import BaseTransport, TimerHandle, Transport
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, Field
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# Seconds between two looks.
INTERVAL: Final = 1.0
# Bytes of a request's head: a token is 24 KiB at most, a query or cookie of a browser less.
LARGEST_HEAD: Final = 128 * 1024
# Requests that a client may send ahead of their answers.
MOST_AHEAD: Final = 32
_AT_ONCE = struct.pack("ii", 1, 0)
_CLOSING = b"content-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\nconnection: close\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n" + _CLOSING + b"\r\n"
_NO_HTTP = b"HTTP/1.1 400 Bad Request\r\n" + _CLOSING + b"\r\n"
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _CLOSING + b"\r\n"


class ConnectionSettings(BaseModel):
    """What an operator decides about connections. Times are in seconds."""

    connections: int = Field(
        800,
        ge=1,
        le=100_000,
        description="Open connections at most: one more takes the place of the one that has been"
        " idle longest, or where none is idle is answered 503; keep it below the limit of open"
        " files",
    )
    head_timeout: float = Field(
        10.0, gt=0, le=300, description="Seconds in which a request's head must have come"
    )
    idle_timeout: int = Field(
        5, ge=1, le=3600, description="Seconds for which a connection is kept for the next request"
    )
    stall_timeout: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="Seconds after which a client that reads nothing of its answer is cut off",
    )


class Watched(HttpToolsProtocol):
    """One connection. It waits for its client as long as no request is in work."""

    bounds = ConnectionSettings()

    _watch: TimerHandle | None = None
    # What the last look saw, and since when it is so.
    _seen: tuple[bool, object, int] = (True, None, 0)
    since = 0.0
    _stalled_at: float | None = None
    # The request in work, while others may wait for their turn.
    _current: RequestResponseCycle | None = None
    # Where in a request what comes next belongs, and the bytes of its head.
    _part: Literal["head", "body", "none"] = "none"
    _head = 0

    def connection_made(self, transport: BaseTransport) -> None:
        """Keeps it, at the cost of the one that has been idle longest where there are too many."""
        if len(self.connections) >= self.bounds.connections and not self._make_room():
            _dismiss(cast(Transport, transport), _FULL)
            return
        super().connection_made(cast(Transport, transport))
        self.since = self.loop.time()
        self._watch = self.loop.call_later(INTERVAL, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """https://docs.python.org/3/library/asyncio-protocol.html#base-protocol"""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
            if self._current is not None:
                # uvicorn tells the request that came last, which may still wait for its turn.
                self._current.disconnected = True
                self._current.message_event.set()
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hands it to the parser; 431 for a head without an end."""
        super().data_received(data)
        if self._part != "head":
            self._head = 0
            return
        self._head += len(data)
        if self._head > LARGEST_HEAD:
            self._say(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._part = "head"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begins a request; a client that sends too many ahead is cut off."""
        self._part = "body"
        if len(self.pipeline) >= MOST_AHEAD or self.transport.is_closing():
            self.transport.abort()
            raise ConnectionAbortedError
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._current = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._part = "none"
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """For what is no HTTP."""
        self._say(_NO_HTTP)

    def pause_writing(self) -> None:
        """Called when the client reads slower than it is answered."""
        self._stalled_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Called when it has caught up."""
        self._stalled_at = None
        super().resume_writing()

    def _waits(self) -> bool:
        current: RequestResponseCycle | None = self.cycle
        return current is None or current.response_complete

    def _look(self) -> None:
        self._watch = self.loop.call_later(INTERVAL, self._look)
        now, unread = self.loop.time(), self.transport.get_write_buffer_size()
        seen = (self._waits(), self.cycle, unread)
        if seen != self._seen:
            self._seen, self.since = seen, now
        if self._stalled(now) or (self._waits() and now - self.since > self._patience(unread)):
            if unread:
                # Else the kernel would go on holding what nobody reads.
                connection: socket.socket = self.transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self.transport.abort()

    def _stalled(self, now: float) -> bool:
        at = self._stalled_at
        return at is not None and now - at > self.bounds.stall_timeout

    def _patience(self, unread: int) -> float:
        """A client that is busy with what was before, the answer or a body that nobody needs any
        more, is waited for a little longer."""
        busy = unread or self._part == "body"
        return self.bounds.stall_timeout if busy else self.bounds.head_timeout

    def _say(self, answer: bytes) -> None:
        """The last word to this client; none amid another answer."""
        if self.transport.is_closing():
            return
        if self.pipeline or (not self._waits() and self.cycle.response_started):
            self.transport.abort()
        else:
            _dismiss(self.transport, answer)

    def _make_room(self) -> bool:
        """Whether one that was idle could be closed."""
        idle = [one for one in self.connections if isinstance(one, Watched) and one.is_spare]
        if idle:
            min(idle, key=lambda one: one.since).transport.abort()
        return bool(idle)

    @property
    def is_spare(self) -> bool:
        """Whether nobody is served by it at the moment."""
        return self._waits() and not self.transport.is_closing()


def watched(bounds: ConnectionSettings) -> type[Watched]:
    """The protocol with those bounds, as `uvicorn.Config(http=…)` takes it."""
    made: dict[str, Any] = {"bounds": bounds}
    return type("Watched", (Watched,), made)


def _dismiss(transport: Transport, answer: bytes) -> None:
    transport.write(answer)
    transport.close()
