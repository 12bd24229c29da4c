"""Files in a local folder: `<tenant>/<ab>/<name>`, each written aside, synced, then renamed.

A crash leaves at most something in `incoming`, which nobody reads and a sweep removes.
"""

from __future__ import annotations

import fcntl
import os
import re
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, TypeVar

from fhir_server.files.model import (
    CHUNK,
    DRAFTS,
    Chunks,
    LostFileError,
    draft_name,
    new_name,
    place_of,
    unreachable,
)
from fhir_server.problems import Problem, conflict

Done = TypeVar("Done")
_NAME = re.compile(r"[0-9a-f]{64}")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_MORE = os.O_WRONLY | os.O_APPEND


class LocalFiles:
    """The file store of one machine, or of several that mount the same folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def write(
        self, tenant: str, chunks: AsyncIterator[bytes], name: str | None = None
    ) -> str:
        """Keeps all of `chunks`, or nothing."""
        name = name or new_name()
        aside = self._aside(tenant, name)
        file = await _done(_opened, aside, _NEW)
        try:
            async for chunk in chunks:
                await _done(file.write, chunk)
            await _done(_settle, file, aside, self._path(tenant, name))
        finally:
            await to_thread(_dropped, file, aside)
        return name

    async def read(self, tenant: str, name: str, start: int = 0, stop: int | None = None) -> Chunks:
        """The bytes from `start` up to `stop`."""
        async for chunk in _read(self._path(tenant, name), start, stop):
            yield chunk

    async def remove(self, tenant: str, name: str) -> None:
        """Removes it, if it is there, or what there is of it."""
        with suppress(LostFileError):
            await _done(_removed, self._path(tenant, name))
            await _done(_removed, self._aside(tenant, name))

    async def length(self, tenant: str, draft: str) -> int:
        """How many bytes of the draft are here."""
        return await _done(_length, self._draft(tenant, draft))

    async def append(self, tenant: str, draft: str, at: int, chunks: AsyncIterator[bytes]) -> int:
        """Adds to the draft what comes, even where it breaks off."""
        end = at
        file = await to_thread(_held, self._draft(tenant, draft), at)
        try:
            async for chunk in chunks:
                end += await _done(file.write, chunk)
        finally:
            # Closing lets go of it.
            await _done(file.close)
        return end

    async def link(self, tenant: str, draft: str, lifetime: timedelta) -> str | None:
        """None: a folder has no address."""
        return None

    async def read_draft(self, tenant: str, draft: str) -> Chunks:
        """The bytes of the draft."""
        async for chunk in _read(self._draft(tenant, draft), 0, None):
            yield chunk

    async def remove_draft(self, tenant: str, draft: str) -> None:
        """Removes the draft, if it is there."""
        await _done(_removed, self._draft(tenant, draft))

    async def sweep(self, tenant: str, before: datetime) -> int:
        """Removes what lies in `incoming` since then."""
        return await _done(_swept, self._aside(tenant, ""), before.timestamp())

    def _path(self, tenant: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise LostFileError
        return self._root / place_of(tenant) / name[:2] / name

    def _aside(self, tenant: str, name: str) -> Path:
        return self._root / place_of(tenant) / DRAFTS / name

    def _draft(self, tenant: str, draft: str) -> Path:
        return self._aside(tenant, draft_name(draft))


async def _done(work: Callable[..., Done], *args: object) -> Done:
    """`work` in a thread; a full or broken disk is 503."""
    try:
        return await to_thread(work, *args)
    except OSError as error:
        raise unreachable() from error


async def _read(path: Path, start: int, stop: int | None) -> Chunks:
    try:
        file = await to_thread(path.open, "rb")
    except FileNotFoundError:
        raise LostFileError from None
    try:
        await to_thread(file.seek, start)
        left = None if stop is None else stop - start
        while chunk := await to_thread(file.read, CHUNK if left is None else min(CHUNK, left)):
            left = None if left is None else left - len(chunk)
            yield chunk
    finally:
        await to_thread(file.close)


def _opened(path: Path, how: int) -> BinaryIO:
    _folder(path.parent.parent)
    _folder(path.parent)
    return os.fdopen(os.open(path, how, 0o600), "ab" if how & os.O_APPEND else "wb")


def _folder(path: Path) -> None:
    """Closed to others, as its parents need not be: they were made by somebody else."""
    with suppress(FileExistsError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)


def _held(path: Path, at: int) -> BinaryIO:
    """The draft, for the only one who adds to it, at its end; new where that is its beginning."""
    try:
        file = _opened(path, _MORE if at else _MORE | os.O_CREAT)
    except FileNotFoundError:
        raise _goes_on(0) from None
    except OSError as error:
        raise unreachable() from error
    try:
        _hold(file, at)
    except Problem:
        file.close()
        raise
    return file


def _hold(file: BinaryIO, at: int) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise conflict("another upload of this file is under way") from None
    end = os.fstat(file.fileno()).st_size
    if end != at:
        raise _goes_on(end)


def _goes_on(end: int) -> Problem:
    why, told = f"the upload goes on at {end}", {"upload-offset": str(end)}
    return Problem(409, "conflict", why, headers=told)


def _settle(file: BinaryIO, aside: Path, path: Path) -> None:
    """The bytes first, then the name: after a power cut there is a whole file or none."""
    file.flush()
    os.fsync(file.fileno())
    _folder(path.parent)
    aside.rename(path)
    _sync(path.parent)
    _sync(path.parent.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _dropped(file: BinaryIO, aside: Path) -> None:
    with suppress(OSError):
        file.close()
    _removed(aside)


def _removed(path: Path) -> None:
    path.unlink(missing_ok=True)


def _swept(folder: Path, before: float) -> int:
    if not folder.is_dir():
        return 0
    old = [path for path in folder.iterdir() if path.stat().st_mtime < before]
    for path in old:
        _removed(path)
    return len(old)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
