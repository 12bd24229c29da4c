from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import BIN, ROOT, Program, environment, serving

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def program(folder: Path) -> Iterator[Program]:
    """What `make run` starts."""
    command = [f"{BIN}/fhir-server", "serve", "--demo"]
    with serving(command, folder, environment(folder)) as program:
        yield program


def shell(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_make_run_starts_the_demo() -> None:
    assert BLOCKS[0] == "make run\n"
    asked = subprocess.run(["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True)
    assert ".venv/bin/fhir-server serve --demo" in asked.stdout.splitlines()


def test_the_greeting_can_be_pasted(program: Program, folder: Path) -> None:
    (line,) = [line for line in program.greeting.splitlines() if line.startswith("curl ")]
    assert "Can she go home on Thursday?" in shell(line, folder)


def test_the_conversation_can_be_typed(program: Program, folder: Path) -> None:
    script = "\n".join(BLOCKS[1:])
    script = script.replace("http://127.0.0.1:8000", program.address)
    printed = shell(script.replace(".venv/bin/", f"{BIN}/"), folder)
    listed = printed[printed.rindex('"items"') :]
    assert "Raise the dose?" in listed
    assert "Yes, to 10 mg." in listed
