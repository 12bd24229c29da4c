"""The declared folders with files of a test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

from fhir_server.declared import FOLDERS, declared_root


def declared_with(folder: Path, **mappings: str) -> Path:
    """A copy of the project's own in `folder`, with further mapping files."""
    for name in FOLDERS:
        shutil.copytree(declared_root() / name, folder / name)
    for name, text in mappings.items():
        (folder / "mappings" / f"{name}.yaml").write_text(text)
    return folder
