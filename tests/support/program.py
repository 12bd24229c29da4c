"""Starts the program as a user would: as a process of its own, with a data folder of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
LISTENS = re.compile(r"listens on (http://\S+)")


class Program(NamedTuple):
    """A running server: its address, and all it has printed until it listened."""

    address: str
    greeting: str


def environment(data: Path, **more: str) -> dict[str, str]:
    """This process's environment without its settings, and with a data folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FHIR_SERVER_")}
    return kept | {"FHIR_SERVER_DATA_DIR": str(data), "FHIR_SERVER_PORT": "0"} | more


@contextmanager
def serving(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[Program]:
    """Runs it in `folder` until the end of the block; it must then stop cleanly."""
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield _started(process)
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, ""), f"{process.returncode}: {errors}"


def _started(process: subprocess.Popen[str]) -> Program:
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if found := LISTENS.search(line):
            return Program(found[1], printed)
    raise AssertionError(f"did not start: {printed}{process.communicate()[1]}")
