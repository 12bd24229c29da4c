from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.program import ROOT, environment, serving


@pytest.fixture(scope="module")
def installed(folder: Path) -> Path:
    """The commands of a fresh environment that holds the wheel and what it depends on."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, cwd=folder)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv/bin/python"
    subprocess.run([python, *pip[1:], "install", str(wheel)], check=True, cwd=folder)
    return folder / "venv/bin"


def test_the_wheel_brings_its_declarations(installed: Path, folder: Path) -> None:
    check = [f"{installed}/fhir-server", "check"]
    done = subprocess.run(
        check, cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_wheel_serves(installed: Path, folder: Path) -> None:
    command = [f"{installed}/fhir-server", "serve"]
    with serving(command, folder, environment(folder)) as program:
        answer = httpx.get(f"{program.address}/fhir/R4/metadata")
        assert answer.status_code == 200
        assert answer.json()["fhirVersion"] == "4.0.1"
    assert not (folder / "postgres/postmaster.pid").exists()
