"""What the processes of one test run (pytest-xdist) share: a folder, a lock, who is last."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self


class Shared:
    """Every process holds the users' lock shared; the one that can have it alone is the last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.was_last = False
        self._users = (folder / "users").open("a")

    def __enter__(self) -> Self:
        fcntl.flock(self._users, fcntl.LOCK_SH)
        return self

    def __exit__(self, *_: object) -> None:
        self.was_last = self.is_last()
        self._users.close()

    def is_last(self) -> bool:
        """Whether every other process of the run is done."""
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time."""
        with (self.folder / "alone").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
