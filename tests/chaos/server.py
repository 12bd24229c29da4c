"""The server under test: the program itself, which can be killed and started again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.support.postgres import free_port
from tests.support.program import LISTENS, ROOT, environment

# Seconds that a request may take: FHIR_SERVER_REQUEST_TIMEOUT of the servers here.
DEADLINE: Final = 3.0
START: Final = 90.0


class Server:
    """`fhir-server serve` on a port of its own; whatever it prints is in `folder`."""

    def __init__(self, folder: Path, name: str, **settings: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._output = folder / f"{name}.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def launch(self, **more: str) -> None:
        """Starts it without waiting; `more` is environment for this time."""
        data = self._folder / "server"
        env = environment(data, **{**_DEFAULTS, **self._settings}) | more
        env |= {"PYTHONPATH": str(ROOT), "FHIR_SERVER_PORT": str(self.port)}
        command = [sys.executable, "-m", "fhir_server", "serve"]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=env, stdout=output, stderr=output
            )

    async def listens(self) -> None:
        """Waits until it does."""
        async with asyncio.timeout(START):
            while not LISTENS.search(self.output()):
                assert self._process is not None
                assert self._process.poll() is None, self.output()
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """kill -9: nothing of what it was at is finished."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """As an operator does; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(60)

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        return self._output.read_text()

    async def ready(self, http: httpx.AsyncClient) -> bool | None:
        """What it says; None where it does not answer."""
        try:
            answer = await http.get(f"{self.address}/health/ready", timeout=10)
        except httpx.TransportError:
            return None
        return answer.status_code == 200

    async def becomes(self, http: httpx.AsyncClient, *, ready: bool, within: float = 30) -> None:
        """Waits until it says so."""
        async with asyncio.timeout(within):
            while await self.ready(http) is not ready:  # noqa: ASYNC110 - a deadline bounds it
                await asyncio.sleep(0.05)


_DEFAULTS: Mapping[str, str] = {
    "FHIR_SERVER_ENVIRONMENT": "test",
    "FHIR_SERVER_REQUEST_TIMEOUT": str(DEADLINE),
    "FHIR_SERVER_POOL_TIMEOUT": "2",
    "FHIR_SERVER_RATE_LIMIT_SCALE": "0",
}


@contextmanager
def launched(*servers: Server, **environment: str) -> Iterator[None]:
    """Started, not awaited, and killed at the end of the block."""
    try:
        for server in servers:
            server.launch(**environment)
        yield
    finally:
        for server in servers:
            server.kill()
