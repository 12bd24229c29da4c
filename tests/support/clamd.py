"""ClamAV's daemon for tests: the real one where it is installed, and a stand-in that does as told.

Both know one signature, that of EICAR's test file, so nothing is downloaded.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.required import required

# In two parts, so that this file is no finding itself.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SIGNATURE = f"Eicar-Test-Signature:0:*:{EICAR.hex()}\n"
LARGEST = "4M"
START = 60.0


@contextmanager
def real(folder: Path) -> Iterator[str]:
    """A clamd with that one signature; the path of its socket."""
    program = required("clamd")
    database = folder / "signatures"
    database.mkdir()
    (database / "eicar.ndb").write_text(SIGNATURE)
    address, settings = folder / "clamd.sock", folder / "clamd.conf"
    settings.write_text(
        f"Foreground yes\nLocalSocket {address}\nDatabaseDirectory {database}\n"
        f"StreamMaxLength {LARGEST}\nMaxThreads 2\nLogFile {folder / 'clamd.log'}\n"
    )
    daemon = subprocess.Popen(
        [program, "--config-file", settings], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        _wait(daemon, address)
        yield str(address)
    finally:
        daemon.terminate()
        daemon.wait()


def _wait(daemon: subprocess.Popen[bytes], address: Path) -> None:
    end = time.monotonic() + START
    while not _answers(address):
        if daemon.poll() is not None or time.monotonic() > end:
            log = address.with_name("clamd.log")
            raise RuntimeError(log.read_text() if log.exists() else "clamd did not start")
        time.sleep(0.02)


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(address))
            client.sendall(b"zPING\0")
            return client.recv(16).startswith(b"PONG")
        except OSError:
            return False


class Double:
    """A stand-in that can be made to say anything, or to say nothing; `scanned` counts streams."""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.scanned = 0
        self._server: socketserver.ThreadingTCPServer | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listens."""
        server = _Server(("127.0.0.1", self.port), _Stream)
        server.double = self
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self._server = server

    def stop(self) -> None:
        """Is away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @contextmanager
    def running(self) -> Iterator[Double]:
        """Listens until the end of the block."""
        self.start()
        try:
            yield self
        finally:
            self.stop()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    double: Double


class _Stream(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        if self.rfile.read(len(b"zINSTREAM\0")) != b"zINSTREAM\0":
            return
        content = bytearray()
        while size := struct.unpack("!I", self.rfile.read(4).rjust(4, b"\0"))[0]:
            content += self.rfile.read(size)
        double = self.server.double
        double.scanned += 1
        found = b"stream: Eicar-Test-Signature FOUND\0" if EICAR in content else b"stream: OK\0"
        self.wfile.write(found if double.answer is None else double.answer)
