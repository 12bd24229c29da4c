"""Servers as processes: started, loaded, and charged for what they use."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
LISTENS = re.compile(r"listens on http://([^:]+):(\d+)")
MEBIBYTE = 1024 * 1024
PATIENCE = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A running server of one process."""

    host: str
    port: str
    process: psutil.Process

    def resident(self) -> float:
        """Resident memory in MiB."""
        return float(self.process.memory_info().rss) / MEBIBYTE

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def load(self, requests: Path, seconds: float, connections: int) -> dict[str, Any]:
        """What one run of the load generator says, and what it cost this process."""
        before = self.cpu()
        command = [self.host, self.port, str(requests), str(seconds), str(connections)]
        done = subprocess.run(
            [sys.executable, "-m", "bench.client", *command],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            timeout=seconds + PATIENCE,
        )
        result: dict[str, Any] = json.loads(done.stdout)
        result["cpu_us"] = (self.cpu() - before) / result["requests"] * 1e6
        return result


@contextmanager
def running(arguments: Sequence[str], env: Mapping[str, str]) -> Iterator[Server]:
    """`python -m …`, from when it listens until the end of the block."""
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = next(filter(None, map(LISTENS.search, process.stdout)), None)
            assert found is not None, "the server did not start"
            yield Server(found[1], found[2], psutil.Process(process.pid))
        finally:
            process.terminate()


def kept(folder: Path, name: str, value: object) -> Path:
    """A file for another process of this run."""
    file = folder / f"{name}.pickle"
    file.write_bytes(pickle.dumps(value))
    return file
