"""A process whose clock is wrong, and may jump: by libfaketime.

https://github.com/wolfcw/libfaketime
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.required import required


class Clock:
    """The clock of one process, told by a file. What only measures (a monotonic clock) is right."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._library = _library()

    def environment(self) -> dict[str, str]:
        """For the process."""
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """So many seconds before (fewer than none: behind) the right time, from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+}\n")
        new.replace(self._file)


def _library() -> str:
    """The one that the program loads."""
    shown = subprocess.run(
        [required("faketime"), "-f", "+0", "env"], capture_output=True, text=True, check=True
    )
    lines = dict(line.partition("=")[::2] for line in shown.stdout.splitlines())
    return lines["LD_PRELOAD"]
