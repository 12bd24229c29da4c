"""The npm clients of tests/clients/npm, installed once and played in node."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.program import ROOT
from tests.support.required import missing, required

SOURCES = ROOT / "tests/clients/npm"
CACHE = ROOT / ".cache/npm"
# What npm needs to install; the scripts beside it may change without a new installation.
LOCK = ("package.json", "package-lock.json", ".npmrc")
OLDEST = 18


def installed() -> Path:
    """The folder of the scripts with their `node_modules`."""
    required("node")
    required("npm")
    version = _run(["node", "--version"], ROOT)
    if int(version[1:].split(".")[0]) < OLDEST:
        missing(f"node {OLDEST} or newer", "node")
    digest = hashlib.sha256(b"".join((SOURCES / name).read_bytes() for name in LOCK))
    folder = CACHE / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        _copy(folder)
        if not (folder / "installed").exists():
            _run(["npm", "ci"], folder)
            (folder / "installed").touch()
    return folder


def played(folder: Path, script: str, scenario: str, **env: str) -> Any:
    """What the scenario printed."""
    return json.loads(_run(["node", script, scenario], folder, **env))


def _copy(folder: Path) -> None:
    """Writes what differs only: another process may be reading it."""
    for source in SOURCES.iterdir():
        target = folder / source.name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.write_bytes(source.read_bytes())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str], folder: Path, **env: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout
