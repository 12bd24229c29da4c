"""A NATS with JetStream of the test's own, which can be stopped and started on the same port."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection
from time import monotonic, sleep
from typing import Any

import nats
from nats.aio.msg import Msg

from tests.support.required import required


class NatsServer:
    """`url` is where it listens, from the first start on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns once it takes connections."""
        ports = self._folder / "ports"
        ports.mkdir(exist_ok=True)
        port = str(self._port or -1)
        options = ["-a", "127.0.0.1", "-p", port, "-js", "-sd", str(self._folder / "jetstream")]
        quiet = subprocess.DEVNULL
        command = [required("nats-server"), *options, "--ports_file_dir", str(ports)]
        self._process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        until = monotonic() + 20
        while not self._listens(ports / f"nats-server_{self._process.pid}.ports"):
            assert monotonic() < until, "nats-server did not start"
            sleep(0.02)

    def stop(self) -> None:
        """At once, as by a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self, *, frozen: bool) -> None:
        """Its connections stay, and nothing answers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def _listens(self, file: Path) -> bool:
        try:
            found = json.loads(file.read_text())["nats"][0]
            self._port = int(found.rsplit(":", 1)[1])
            create_connection(("127.0.0.1", self._port), timeout=1).close()
        except (OSError, ValueError, KeyError):
            return False
        return True


@contextmanager
def nats_server(folder: Path) -> Iterator[NatsServer]:
    """Running until the end of the block."""
    server = NatsServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def stored(url: str, subject: str) -> list[Msg]:
    """All messages of the stream on the subject, in the stream's order."""
    client = await nats.connect(url)
    try:
        subscription = await client.jetstream().pull_subscribe(subject)
        left = (await subscription.consumer_info()).num_pending or 0
        found: list[Msg] = []
        while len(found) < left:
            batch = await subscription.fetch(min(left - len(found), 500), timeout=5)
            for message in batch:  # NATS gives no more than a thousand that nobody acknowledged
                await message.ack()
            found += batch
        return found
    finally:
        await client.close()


def event(message: Msg) -> dict[str, Any]:
    """The CloudEvent it carries."""
    found: dict[str, Any] = json.loads(message.data)
    return found
