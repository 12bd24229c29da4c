"""The database's disk is full: a small tmpfs, which takes the right to mount one."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.chaos.accounts import settled
from tests.chaos.conftest import Enter
from tests.chaos.load import Token
from tests.chaos.rig import Rig, rig_on, strikes
from tests.support.postgres import Postgres
from tests.support.required import missing

# Beyond what an empty cluster takes.
ROOM = 48
MEBIBYTE = 1024 * 1024


@pytest.fixture
def small(cluster: Postgres, chaos_folder: Path) -> Iterator[Path]:
    """A file system with little room."""
    folder = chaos_folder / "small"
    folder.mkdir()
    used = sum(file.stat().st_size for file in cluster.data.rglob("*")) // MEBIBYTE
    mount = ["mount", "-t", "tmpfs", "-o", f"size={used + ROOM}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        missing("the right to mount a tmpfs", "tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_rig(cluster: Postgres, small: Path, chaos_folder: Path, token: Token) -> Iterator[Rig]:
    postgres = Postgres(small / "postgres")
    postgres.copy_of(cluster)
    postgres.start()
    folder = chaos_folder / "disk"
    folder.mkdir()
    (folder / "server").symlink_to(chaos_folder / "server")
    try:
        with rig_on(postgres, folder, token) as rig:
            yield rig
    finally:
        postgres.crash()


async def test_the_disk_is_full(
    small_rig: Rig, small: Path, http: httpx.AsyncClient, enter: Enter
) -> None:
    rig = small_rig
    await rig.server.listens()
    async with rig.load().running() as load:
        for _ in strikes(1, 3):
            await load.more(20)
            ballast = _fill(small)
            await rig.server.becomes(http, ready=False)
            assert (await http.get(f"{rig.server.address}/health/live")).status_code == 200
            ballast.unlink()
            if not rig.postgres.runs():
                await asyncio.to_thread(rig.postgres.start)
            await rig.server.becomes(http, ready=True)
            await load.more(20)
    assert load.ledger.answers["503"] > 0
    enter(await settled("disk full", load, rig.nats.url))


def _fill(folder: Path) -> Path:
    """A file that takes all that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * os.sysconf("SC_PAGE_SIZE"))
        except OSError:
            return ballast
