from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from docs import generate
from fhir_server.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def test_the_reference_is_what_the_code_says() -> None:
    assert generate.stale() == []


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    reasons = (ROOT / "docs/decisions/dependencies.md").read_text()
    names = [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in declared]
    assert [name for name in names if f"`{name}`" not in reasons] == []
