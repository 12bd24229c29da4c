from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.program import ROOT, environment, serving


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a fresh environment that holds the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, cwd=folder)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv/bin/python"
    subprocess.run([python, *pip[1:], "install", str(wheel)], check=True, cwd=folder)
    return folder / "venv/bin"


def test_the_wheel_brings_its_declarations(installed: Path, tmp_path: Path) -> None:
    check = [f"{installed}/fhir-server", "check"]
    done = subprocess.run(
        check, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_wheel_serves(installed: Path, tmp_path: Path) -> None:
    command = [f"{installed}/fhir-server", "serve"]
    with serving(command, tmp_path, environment(tmp_path)) as program:
        answer = httpx.get(f"{program.address}/fhir/R4/metadata")
        assert answer.status_code == 200
        assert answer.json()["fhirVersion"] == "4.0.1"
    assert not (tmp_path / "postgres/postmaster.pid").exists()
