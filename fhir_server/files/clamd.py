"""ClamAV's daemon, by INSTREAM: the file goes to it as it is read, in chunks with their lengths.

https://docs.clamav.net/manual/Usage/Scanning.html#clamd (`man clamd`, COMMANDS)
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fhir_server.files.scanner import ScannerDownError, UnscannableError

# Seconds for one step: connecting, sending a chunk.
STEP = 10.0
LONGEST_ANSWER = 4096
_START = b"zINSTREAM\0"
_END = struct.pack("!I", 0)


@dataclass(frozen=True, slots=True)
class Clamd:
    """A daemon at `host:port`, or at the path of its Unix socket; `verdict` are the seconds that it
    may take after the last byte."""

    address: str
    verdict: float = 120.0

    async def infected(self, chunks: AsyncIterator[bytes]) -> bool:
        """Whether it found malware; what it is called is nobody's business but the operator's."""
        connection = await self._connected()
        try:
            # It may answer before the end, and close: that is to be read, not to fail on. (A
            # StreamWriter would lose the answer.)
            with suppress(ConnectionError):
                await _send(connection, chunks)
            return _verdict(await self._answer(connection))
        finally:
            connection.close()

    async def _connected(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STEP):
                family, address = await self._resolved()
                connection = socket.socket(family, socket.SOCK_STREAM)
                connection.setblocking(False)
                try:
                    await loop.sock_connect(connection, address)
                except BaseException:
                    connection.close()
                    raise
        except (OSError, TimeoutError) as error:
            raise ScannerDownError from error
        return connection

    async def _resolved(self) -> tuple[int, Any]:
        if self.address.startswith("/"):
            return socket.AF_UNIX, self.address
        host, _, port = self.address.rpartition(":")
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        return found[0][0], found[0][4]

    async def _answer(self, connection: socket.socket) -> bytes:
        loop, answer = asyncio.get_running_loop(), b""
        try:
            async with asyncio.timeout(self.verdict):
                while part := await loop.sock_recv(connection, LONGEST_ANSWER):
                    answer += part
                    if answer.endswith(b"\0") or len(answer) > LONGEST_ANSWER:
                        break
        except (OSError, TimeoutError) as error:
            raise ScannerDownError from error
        return answer


async def _send(connection: socket.socket, chunks: AsyncIterator[bytes]) -> None:
    await _sent(connection, _START)
    async for chunk in chunks:
        await _sent(connection, struct.pack("!I", len(chunk)) + chunk)
    await _sent(connection, _END)


async def _sent(connection: socket.socket, data: bytes) -> None:
    try:
        async with asyncio.timeout(STEP):
            await asyncio.get_running_loop().sock_sendall(connection, data)
    except TimeoutError as error:
        raise ScannerDownError from error


def _verdict(answer: bytes) -> bool:
    words = answer.rstrip(b"\0\n")
    if words == b"stream: OK":
        return False
    if words.endswith(b" FOUND"):
        return True
    if words.endswith(b" ERROR"):
        raise UnscannableError
    raise ScannerDownError
