"""Programs that some tests need beside Python: missing, they skip, but never in CI.

`.ci/run` installs them and names them in FHIR_SERVER_TEST_REQUIRE, separated by spaces.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

REQUIRED = os.environ.get("FHIR_SERVER_TEST_REQUIRE", "").split()


def required(program: str) -> str:
    """Its path."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    return found or missing(program, program)


def missing(what: str, program: str) -> NoReturn:
    """Skips, or fails where the program must be there."""
    say = pytest.fail if program in REQUIRED else pytest.skip
    say(f"needs {what}")
