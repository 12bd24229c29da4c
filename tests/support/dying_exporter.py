"""An exporter that is killed when it has written so many pieces of a zip.

python -m tests.support.dying_exporter DATABASE_URL DATA_FOLDER TENANT PIECES
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from fhir_server.app import build_core
from fhir_server.files.local import LocalFiles
from fhir_server.settings import Settings


class Dying(LocalFiles):
    """Dies where the piece after the last one would come."""

    def __init__(self, root: Path, pieces: int) -> None:
        super().__init__(root)
        self._left = pieces

    async def write(
        self, tenant: str, chunks: AsyncIterator[bytes], name: str | None = None
    ) -> str:
        return await super().write(tenant, self._counted(chunks), name)

    async def _counted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1
            yield chunk


async def main(database: str, folder: str, tenant: str, pieces: str) -> None:
    core = build_core(Settings(environment="test", database_url=database, data_dir=Path(folder)))
    core = replace(core, files=Dying(Path(folder) / "files", int(pieces)))
    await core.store.sessions.open()
    await core.gdpr().round([tenant])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
