"""What a file store can do."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

from fhir_server.problems import Problem

# The folder of drafts.
DRAFTS = "incoming"
# Bytes that are read at once; a file is never in memory as a whole.
CHUNK = 256 * 1024
_NAME_BYTES = 32


class LostFileError(Exception):
    """The store has no file of that name."""


class FileStore(Protocol):
    """Writes, reads and removes whole files; names are the store's own."""

    async def write(
        self, tenant: str, chunks: AsyncIterator[bytes], name: str | None = None
    ) -> str:
        """Keeps all of `chunks` under a new name: the store's, or one of `new_name` that the caller
        wrote down before. Whatever they raise is raised, and then nothing is kept: a file is there
        completely or not at all."""

    def read(self, tenant: str, name: str, start: int = 0, stop: int | None = None) -> Chunks:
        """The bytes from `start` up to `stop`; LostFileError with the first of them."""

    async def remove(self, tenant: str, name: str) -> None:
        """Removes it, and what a crash left of it; one that is not there is no error."""

    async def length(self, tenant: str, draft: str) -> int:
        """How many bytes of a draft are here: of a file that comes in parts, and is read once to
        be written as a whole. The caller names it."""

    async def append(self, tenant: str, draft: str, at: int, chunks: AsyncIterator[bytes]) -> int:
        """Adds to the draft what comes, even where it breaks off; how long it is then. 409 where
        it does not end `at`, or another adds to it; 405 where the store takes no parts."""

    async def link(self, tenant: str, draft: str, lifetime: timedelta) -> str | None:
        """Where a client may PUT the whole draft by itself; None where the store has no such."""

    def read_draft(self, tenant: str, draft: str) -> Chunks:
        """All bytes of the draft."""

    async def remove_draft(self, tenant: str, draft: str) -> None:
        """Removes it; one that is not there is no error."""

    async def sweep(self, tenant: str, before: datetime) -> int:
        """Removes what was begun and not touched since `before`, such as drafts, and what a crash
        left of a file; how many. Files that were written are not touched."""


Chunks = AsyncGenerator[bytes, None]


def new_name() -> str:
    """A name of 256 random bits."""
    return secrets.token_hex(_NAME_BYTES)


def draft_name(draft: str) -> str:
    """What a draft is called in a store: whatever its caller calls it."""
    return sha256(draft.encode()).hexdigest()


def unreachable() -> Problem:
    """503: the store does not do what it should."""
    return Problem(503, "transient", "the file store cannot be reached at the moment")


def place_of(tenant: str) -> str:
    """Where a tenant's files lie: a tenant's name may be anything, a folder's may not."""
    return sha256(tenant.encode()).hexdigest()
