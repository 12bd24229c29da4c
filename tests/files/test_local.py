"""The file store in a folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fhir_server.files import LostFileError, build_files
from fhir_server.files.local import LocalFiles
from fhir_server.files.model import CHUNK, FileStore

CONTENT = bytes(range(256)) * 3_000


async def pieces(content: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def whole(files: FileStore, tenant: str, name: str, *span: int) -> bytes:
    return b"".join([chunk async for chunk in files.read(tenant, name, *span)])


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path)


def everything(tmp_path: Path) -> list[Path]:
    return list(tmp_path.rglob("*"))


def on_disk(tmp_path: Path) -> list[Path]:
    return [path for path in everything(tmp_path) if path.is_file()]


async def test_what_was_written_is_read(files: LocalFiles) -> None:
    name = await files.write("t", pieces(CONTENT))
    assert await whole(files, "t", name) == CONTENT
    for start, stop in ((0, 1), (5, CHUNK + 7), (CHUNK, len(CONTENT)), (9, 9)):
        assert await whole(files, "t", name, start, stop) == CONTENT[start:stop]


async def test_each_has_a_name_of_its_own(files: LocalFiles) -> None:
    names = {await files.write("t", pieces(b"same")) for _ in range(20)}
    assert len(names) == 20
    assert {len(name) for name in names} == {64}


@pytest.mark.parametrize("tenant", ["..", "a/b", "", "x" * 300, "ت", "."])
async def test_tenants_lie_apart_whatever_they_are_called(
    files: LocalFiles, tmp_path: Path, tenant: str
) -> None:
    name = await files.write(tenant, pieces(b"theirs"))
    assert len(on_disk(tmp_path)) == 1
    assert await whole(files, tenant, name) == b"theirs"
    with pytest.raises(LostFileError):
        await whole(files, "another", name)


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc/passwd", "ab" * 31, "AB" * 32, "zz" * 32])
async def test_only_its_own_names_lead_anywhere(files: LocalFiles, name: str) -> None:
    with pytest.raises(LostFileError):
        await whole(files, "t", name)


async def test_what_breaks_off_is_not_kept(files: LocalFiles, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ValueError("the other half")

    with pytest.raises(ValueError, match="the other half"):
        await files.write("t", broken())
    assert on_disk(tmp_path) == []


async def test_what_is_cancelled_is_not_kept(files: LocalFiles, tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"half"
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(files.write("t", endless()))
    await begun.wait()
    assert len(on_disk(tmp_path)) == 1
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert on_disk(tmp_path) == []


async def test_it_can_be_removed_twice(files: LocalFiles, tmp_path: Path) -> None:
    name = await files.write("t", pieces(CONTENT))
    await files.remove("t", name)
    await files.remove("t", name)
    assert on_disk(tmp_path) == []
    with pytest.raises(LostFileError):
        await whole(files, "t", name)


async def test_a_sweep_takes_what_was_begun_long_ago(files: LocalFiles, tmp_path: Path) -> None:
    name = await files.write("t", pieces(CONTENT))
    await files.append("t", "old", 0, pieces(b"old"))
    await files.append("t", "new", 0, pieces(b"new"))
    now = datetime.now(UTC)
    assert await files.sweep("t", now - timedelta(hours=1)) == 0
    for path in on_disk(tmp_path):
        if path.stat().st_size != len(b"new") or path.read_bytes() == b"old":
            os.utime(path, (0, 0))
    assert await files.sweep("t", now - timedelta(hours=1)) == 1
    assert await files.sweep("nobody", now) == 0
    assert [await files.length("t", draft) for draft in ("old", "new")] == [0, 3]
    assert await whole(files, "t", name) == CONTENT


async def test_nobody_else_on_the_machine_may_read(files: LocalFiles, tmp_path: Path) -> None:
    await files.write("t", pieces(CONTENT))
    assert {path.stat().st_mode & 0o077 for path in everything(tmp_path)} == {0}


def test_a_folder_is_the_default(tmp_path: Path) -> None:
    assert isinstance(build_files(tmp_path), LocalFiles)
