"""Files in a bucket: `<prefix>/<tenant>/<name>`, sent in parts as they come.

Address and credentials are S3's own settings (`AWS_ENDPOINT_URL`, `AWS_REGION`,
`AWS_ACCESS_KEY_ID` …, or the machine's role). A file that breaks off is aborted, so it never is an
object. https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

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
from fhir_server.problems import Problem

if TYPE_CHECKING:
    from obstore import GetOptions

_NAME = re.compile(r"[0-9a-f]{64}")


class S3Files:
    """The file store in the bucket of `s3://bucket/prefix`."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
            # Who writes http:// means it.
            client_options={
                "connect_timeout": timedelta(seconds=5),
                "allow_http": os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"),
            },
        )

    async def write(
        self, tenant: str, chunks: AsyncIterator[bytes], name: str | None = None
    ) -> str:
        """Keeps all of `chunks`, or nothing."""
        name = name or new_name()
        with _reached():
            await obstore.put_async(self._store, _key(tenant, name), chunks)
        return name

    async def read(self, tenant: str, name: str, start: int = 0, stop: int | None = None) -> Chunks:
        """The bytes from `start` up to `stop`."""
        async for chunk in self._read(_key(tenant, name), start, stop):
            yield chunk

    async def remove(self, tenant: str, name: str) -> None:
        """Removes it, if it is there."""
        await self._remove(_key(tenant, name))

    async def length(self, tenant: str, draft: str) -> int:
        """How many bytes a client has put at the draft's link."""
        try:
            with _reached():
                found = await obstore.head_async(self._store, _draft(tenant, draft))
        except LostFileError:
            return 0
        return found["size"]

    async def append(self, tenant: str, draft: str, at: int, chunks: AsyncIterator[bytes]) -> int:
        """Refused: an object is written as a whole, at the draft's link."""
        async for chunk in chunks:
            if chunk:
                why = "this file store takes parts at the upload's link only"
                raise Problem(405, "not-supported", why)
        return await self.length(tenant, draft)

    async def link(self, tenant: str, draft: str, lifetime: timedelta) -> str | None:
        """Where a client may PUT the draft, for as long."""
        with _reached():
            return await obstore.sign_async(self._store, "PUT", _draft(tenant, draft), lifetime)

    async def read_draft(self, tenant: str, draft: str) -> Chunks:
        """The bytes of the draft."""
        async for chunk in self._read(_draft(tenant, draft), 0, None):
            yield chunk

    async def remove_draft(self, tenant: str, draft: str) -> None:
        """Removes the draft, if it is there."""
        await self._remove(_draft(tenant, draft))

    async def sweep(self, tenant: str, before: datetime) -> int:
        """Removes the drafts that lie there since then; unfinished parts are the bucket's own
        lifecycle rule's to abort."""
        old = list[str]()
        with _reached():
            async for batch in obstore.list(self._store, f"{place_of(tenant)}/{DRAFTS}/"):
                old += [found["path"] for found in batch if found["last_modified"] < before]
        for key in old:
            await self._remove(key)
        return len(old)

    async def _read(self, key: str, start: int, stop: int | None) -> Chunks:
        if stop is not None and stop <= start:
            return
        wanted: GetOptions = {"range": {"offset": start} if stop is None else (start, stop)}
        with _reached():
            found = await obstore.get_async(self._store, key, options=wanted)
            async for chunk in found.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    async def _remove(self, key: str) -> None:
        try:
            with _reached():
                await obstore.delete_async(self._store, key)
        except LostFileError:
            return


@contextmanager
def _reached() -> Iterator[None]:
    """S3's errors as ours; those of the chunks pass as they are."""
    try:
        yield
    except FileNotFoundError as error:
        raise LostFileError from error
    except (BaseError, PermissionError, TimeoutError) as error:
        raise unreachable() from error


def _key(tenant: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise LostFileError
    return f"{place_of(tenant)}/{name}"


def _draft(tenant: str, draft: str) -> str:
    return f"{place_of(tenant)}/{DRAFTS}/{draft_name(draft)}"
