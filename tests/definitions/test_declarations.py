"""The declared folders are read once, and every mistake in them is told at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fhir_server.declarations import read_declarations
from fhir_server.declared import FOLDERS, declared_root
from fhir_server.definitions.loader import DeclarationError

POLICY, CAPABILITY = "capability/access-policy.yaml", "capability/CapabilityStatement.json"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for folder in FOLDERS:
        shutil.copytree(declared_root() / folder, tmp_path / folder)
    return tmp_path


def replace(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def mistakes(root: Path) -> str:
    with pytest.raises(DeclarationError) as caught:
        read_declarations(root)
    return "\n".join(caught.value.errors)


def test_they_are_read_once() -> None:
    assert read_declarations() is read_declarations()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("- current-member=$caller", "- curent-member=$caller", "DOCTOR.CareTeam: curent-member"),
        ("- owner=$caller&patient", "- ownr=$caller&patient", "DOCTOR.Task: ownr=$caller"),
    ],
)
def test_a_criterion_that_is_none_is_told(copied: Path, old: str, new: str, told: str) -> None:
    """Of reading and of writing."""
    replace(copied, POLICY, old, new)
    found = mistakes(copied)
    assert POLICY in found
    assert told in found


def test_care_is_dated_by_a_date(copied: Path) -> None:
    replace(copied, CAPABILITY, '"valueString": "authored"', '"valueString": "autored"')
    assert "no date autored (did you mean authored?)" in mistakes(copied)
