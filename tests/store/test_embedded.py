from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from fhir_server.store import embedded

HOLD = """
import sys, pathlib
from fhir_server.store import embedded
with embedded.running(pathlib.Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    return process


def release(process: subprocess.Popen[str]) -> None:
    process.communicate()
    assert process.returncode == 0


def postmaster(folder: Path) -> int | None:
    file = folder / "postgres" / "postmaster.pid"
    return int(file.read_text().split()[0]) if file.exists() else None


def test_is_tuned_and_durable(folder: Path) -> None:
    with embedded.running(folder) as url:
        assert ask(url, "SHOW jit") == "off"
        assert ask(url, "SHOW fsync") == "on"
        assert ask(url, "SHOW synchronous_commit") == "on"
        assert ask(url, "SHOW listen_addresses") == ""
        assert ask(url, "SHOW server_encoding") == "UTF8"
    assert postmaster(folder) is None


def test_keeps_data_across_restarts(folder: Path) -> None:
    with embedded.running(folder) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with embedded.running(folder) as url:
        assert ask(url, "SELECT answer FROM kept") == 42


def test_the_last_user_stops_it(folder: Path) -> None:
    first, second = holder(folder), holder(folder)
    release(first)
    assert postmaster(folder) is not None
    release(second)
    assert postmaster(folder) is None


def test_a_server_left_over_is_used_again(folder: Path) -> None:
    process = holder(folder)
    left = postmaster(folder)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert postmaster(folder) == left is not None
    with embedded.running(folder):
        assert postmaster(folder) == left
    assert postmaster(folder) is None


@pytest.mark.parametrize("reused", [False, True])
def test_recovers_when_all_was_killed(folder: Path, *, reused: bool) -> None:
    process = holder(folder)
    server = postmaster(folder)
    assert server is not None
    os.kill(server, signal.SIGKILL)
    process.kill()
    process.communicate()
    if reused:  # the machine restarted, and the number is another program's by now
        file = folder / "postgres" / "postmaster.pid"
        file.write_text(file.read_text().replace(str(server), str(os.getpid()), 1))
    with embedded.running(folder) as url:
        assert ask(url, "SELECT 1") == 1


def test_starts_under_a_locale_the_machine_lacks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "ps_AF.UTF-8")
    with embedded.running(folder / "other") as url:
        assert ask(url, "SELECT 1") == 1
    assert os.environ["LC_ALL"] == "ps_AF.UTF-8"
