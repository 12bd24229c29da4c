"""Where the declared folders are: at the top of a checkout, or inside an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDERS: Final = ("profiles", "capability", "mappings")
_PACKAGE: Final = Path(__file__).parent


def declared_root() -> Path:
    """The folder that holds profiles/, capability/ and mappings/; FileNotFoundError without."""
    for root in (_PACKAGE / "declared", _PACKAGE.parent):
        if all((root / folder).is_dir() for folder in FOLDERS):
            return root
    raise FileNotFoundError(f"this installation of fhir-server has no {', '.join(FOLDERS)}")
