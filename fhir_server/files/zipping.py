"""A zip that is read while it is written: no more of it is in memory than what passes.

It has neither a beginning that is known in advance nor an end that is written before, so each
entry's length and checksum follow its bytes. Entries may be larger than 4 GiB.
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import hashlib
from asyncio import to_thread
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

_PRIVATE = 0o600 << 16


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that is in the zip; its SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


class _Sink:
    """What the zip writes to: it cannot be sought, and gives away what it got."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> bytes:
        found, self._parts = b"".join(self._parts), []
        return found


class Zipping:
    """One zip; its entries are dated `at`."""

    def __init__(self, at: datetime) -> None:
        self.entries: list[Entry] = []
        self._date = at.timetuple()[:6]
        self._sink = _Sink()
        self._zip = ZipFile(self._sink, "w")

    async def entry(
        self, name: str, chunks: AsyncIterator[bytes], *, packed: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """The zip's bytes for a file of those; `packed` where it would not get any smaller."""
        info = ZipInfo(name, self._date)
        info.compress_type = ZIP_STORED if packed else ZIP_DEFLATED
        info.external_attr = _PRIVATE
        size, sha256 = 0, hashlib.sha256()
        with self._zip.open(info, "w", force_zip64=True) as file:
            async for chunk in chunks:
                size += len(chunk)
                sha256.update(chunk)
                await to_thread(file.write, chunk)
                if ready := self._sink.taken():
                    yield ready
        self.entries.append(Entry(name, size, sha256.hexdigest()))
        yield self._sink.taken()

    def end(self) -> bytes:
        """The last bytes: the zip's own list of what is in it."""
        self._zip.close()
        return self._sink.taken()
