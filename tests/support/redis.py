"""A Redis of the test's own, on a socket in a folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from redis import Redis, RedisError

from tests.support.required import required


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Its URL, until the end of the block."""
    socket = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([required("redis-server"), *options], stdout=quiet, stderr=quiet)
    try:
        _wait(socket)
        yield f"unix://{socket}"
    finally:
        process.kill()
        process.wait()


def _wait(socket: Path) -> None:
    until = monotonic() + 10
    with Redis(unix_socket_path=str(socket)) as client:
        while True:
            try:
                client.ping()
            except RedisError:
                if monotonic() > until:
                    raise
                sleep(0.01)
            else:
                return
