"""`make dependencies`: what the product needs is listed, and what is known of it is not hidden."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / ".ci" / "dependencies.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dependencies", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def components(script: ModuleType) -> dict[str, dict[str, Any]]:
    bom = json.loads(script.bom(script.closure()))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    return {one["name"]: one for one in bom["components"]}


@pytest.mark.parametrize("line", PROJECT["dependencies"])
def test_every_dependency_is_listed(components: dict[str, dict[str, Any]], line: str) -> None:
    wanted = Requirement(line)
    name = canonicalize_name(wanted.name)
    assert components[name]["version"] == version(wanted.name)
    assert wanted.specifier.contains(version(wanted.name))
    assert components[name]["purl"] == f"pkg:pypi/{name}@{version(wanted.name)}"


def test_what_they_need_is_listed_and_our_tools_are_not(
    components: dict[str, dict[str, Any]],
) -> None:
    for name in ("starlette", "pydantic-core", "psycopg-binary", "psycopg-pool", "cryptography"):
        assert name in components
    needed = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    tools = PROJECT["optional-dependencies"]["dev"]
    only_tools = {canonicalize_name(Requirement(line).name) for line in tools} - needed
    # A client that the tests use may need what the product needs too.
    assert not only_tools & components.keys()


def test_no_licence_binds_those_who_use_the_product(
    components: dict[str, dict[str, Any]],
) -> None:
    """https://www.gnu.org/licenses/license-list.html"""
    stated = {name: json.dumps(one.get("licenses", "")) for name, one in components.items()}
    binding = [
        n for n, text in stated.items() if "GPL" in text.replace("LGPL", "") or "AGPL" in text
    ]
    assert binding == []


@pytest.mark.parametrize(
    ("out", "errors", "code", "told"),
    [
        (
            (
                '{"dependencies": [{"name": "a", "version": "1", "vulns":'
                ' [{"id": "PYSEC-1", "fix_versions": ["2"]}]}]}'
            ),
            "",
            1,
            "VULNERABLE: a 1: PYSEC-1 (fixed in 2)",
        ),
        (
            (
                '{"dependencies": [{"name": "a", "version": "1", "vulns": []},'
                ' {"name": "b", "skip_reason": "not found"}]}'
            ),
            "",
            0,
            "1 of 2 packages audited, 0 vulnerable.",
        ),
        ('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}', "", 0, "NOT AUDITED"),
        ("", "requests.exceptions.ConnectionError: no route", 0, "NOT AUDITED"),
        ("", "TypeError: a bug", 1, "TypeError: a bug"),
    ],
)
def test_what_an_answer_means(
    script: ModuleType,
    capsys: pytest.CaptureFixture[str],
    out: str,
    errors: str,
    code: int,
    told: str,
) -> None:
    assert script.judged(1, out, errors) == code
    printed = capsys.readouterr()
    assert told in printed.out + printed.err


def test_without_a_network_it_says_so(script: ModuleType) -> None:
    """Behind a proxy that is not there."""
    nowhere = "http://127.0.0.1:9"
    env = os.environ | dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY"), nowhere)
    env |= {"PIP_CACHE_DIR": str(ROOT / "build" / "no-cache"), "NO_PROXY": "", "no_proxy": ""}
    done = subprocess.run([sys.executable, SCRIPT], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "NOT AUDITED" in done.stdout
    assert script.BOM.is_file()
