"""Whether a file is free of malware: what a scanner says, or why it cannot say anything yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class ScannerDownError(Exception):
    """The scanner cannot be reached or does not answer: no file can be scanned for now."""


class UnscannableError(Exception):
    """The scanner works, and could not scan this file."""


class Scanner(Protocol):
    """Looks for malware."""

    async def infected(self, chunks: AsyncIterator[bytes]) -> bool:
        """Whether it found any. Only its own word counts as clean: for anything else,
        ScannerDownError or UnscannableError."""
