"""Bytes to the server and back, with nothing between that would make them proper."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

PATIENT = 30.0


def connected(address: str, *, receive: int | None = None) -> socket.socket:
    """A connection to the server at that address; `receive` bytes of buffer."""
    parts = urlsplit(address)
    made = socket.socket()
    if receive is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    made.settimeout(PATIENT)
    made.connect((parts.hostname, parts.port))
    return made


@contextmanager
def many(address: str, number: int) -> Iterator[list[socket.socket]]:
    """That many connections, until the end of the block."""
    with ExitStack() as opened:
        yield [opened.enter_context(connected(address)) for _ in range(number)]


def exchanged(address: str, data: bytes, *, wait: float = PATIENT) -> bytes:
    """All that is answered until the server hangs up, which what is sent should make it do; or
    until nothing more comes for `wait` seconds."""
    with connected(address) as connection:
        connection.settimeout(wait)
        with suppress(OSError):
            connection.sendall(data)
        return whole(connection)


def whole(connection: socket.socket) -> bytes:
    """All that still comes."""
    answer = b""
    with suppress(OSError):
        while received := connection.recv(65536):
            answer += received
    return answer


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has hung up, told without reading what it said before."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return any(
        state & (select.POLLHUP | select.POLLERR | select.POLLRDHUP) for _, state in poll.poll(0)
    )


def until(condition: Callable[[], bool], what: str, *, seconds: float = PATIENT) -> None:
    """Waits for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def statuses(answer: bytes) -> list[int]:
    """Of each answer in the stream."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
