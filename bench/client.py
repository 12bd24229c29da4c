"""The load generator: keep-alive connections, each sending its next request on every answer.

A process of its own, on raw sockets, so that measuring costs a fraction of answering:
`python -m bench.client HOST PORT REQUESTS SECONDS CONNECTIONS` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import sys
import time
from pathlib import Path
from typing import cast

import uvloop

from bench.scenario import SEQUENCE

LENGTH = b"content-length: "


class Load:
    """What all connections share: the requests to send and the times they took."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = [request.split(SEQUENCE) for request in requests]
        self._sent = 0
        self._unique = time.time_ns()
        self.taken: list[float] = []
        self.failed: dict[str, int] = {}
        self.running = True

    def next(self) -> bytes:
        """The next request's bytes."""
        parts = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        return parts[0] if len(parts) == 1 else (b"%016x" % (self._unique + self._sent)).join(parts)


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._got = b""
        self._whole = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._send()

    def data_received(self, data: bytes) -> None:
        got = self._got = self._got + data if self._got else data
        if not self._whole:
            head = got.find(b"\r\n\r\n")
            if head < 0:
                return
            at = got.find(LENGTH, 0, head) + len(LENGTH)
            self._whole = head + 4 + int(got[at : got.find(b"\r", at)])
        if len(got) >= self._whole:
            self._answered(got)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _answered(self, got: bytes) -> None:
        load = self._load
        load.taken.append(time.perf_counter() - self._since)
        if got[9:10] != b"2":
            status = got[9:12].decode()
            load.failed[status] = load.failed.get(status, 0) + 1
        self._got, self._whole = b"", 0
        if load.running:
            self._send()
        else:
            self._transport.close()

    def _send(self) -> None:
        self._since = time.perf_counter()
        self._transport.write(self._load.next())


async def run(host: str, port: int, load: Load, seconds: float, connections: int) -> float:
    """Loads the server for that long; the seconds it took."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: Connection(load), host, port)
        for _ in range(connections)
    ]
    loop.call_later(seconds, setattr, load, "running", False)
    await asyncio.gather(*(connection.done for _, connection in opened))
    return time.perf_counter() - began


def main(host: str, port: str, requests: str, seconds: str, connections: str) -> None:
    """Prints the result."""
    load = Load(pickle.loads(Path(requests).read_bytes()))  # noqa: S301  # this run wrote it
    gc.disable()
    took = uvloop.run(run(host, int(port), load, float(seconds), int(connections)))
    taken = sorted(load.taken)
    print(
        json.dumps(
            {
                "requests": len(taken),
                "failed": load.failed,
                "per_second": len(taken) / took,
                "p50_ms": taken[len(taken) // 2] * 1000,
                "p99_ms": taken[len(taken) * 99 // 100] * 1000,
                "client_cpu_us": time.process_time() / len(taken) * 1e6,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
