"""Bytes are held against what was announced of them, while they pass."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fhir_server.files.kinds import HEAD, KINDS
from fhir_server.problems import Problem

# Media types that say nothing of the content.
ANY = ("application/octet-stream", "application/offset+octet-stream")


@dataclass(frozen=True, slots=True)
class Incoming:
    """The bytes of an upload, and what the request says of them: media type, number, SHA-256."""

    chunks: AsyncIterator[bytes]
    type: str | None = None
    length: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """What a resource says of its bytes; `file` is their name in the store, `sha256` in hex."""

    file: str | None
    name: str
    type: str
    size: int
    sha256: str | None


@dataclass(slots=True)
class Receipt:
    """Checks bytes against what was announced of them, while they pass."""

    announced: Described
    incoming: Incoming
    size: int = 0
    head: bytes = b""
    sha256: Any = field(default_factory=hashlib.sha256)
    # What FHIR calls the hash of an Attachment; no one relies on it against forgery.
    sha1: Any = field(default_factory=lambda: hashlib.sha1(usedforsecurity=False))

    def __post_init__(self) -> None:
        check_type(self.announced, self.incoming)
        if self.incoming.length is not None:
            self._check_size(self.incoming.length)

    async def checked(self) -> AsyncIterator[bytes]:
        """The bytes, as long as nothing speaks against them; Problem at the end at the latest."""
        pending = True
        async for chunk in self.incoming.chunks:
            self.size += len(chunk)
            if self.size > self.announced.size:
                self._check_size(self.size)
            self.sha256.update(chunk)
            self.sha1.update(chunk)
            if pending:
                self.head += chunk
                if len(self.head) < HEAD:
                    continue
                pending = False
                self._check_kind()
                yield self.head
            else:
                yield chunk
        self._check_size(self.size)
        if pending:
            self._check_kind()
            yield self.head
        self._check_digest()

    def found(self) -> dict[str, Any]:
        """What the bytes are."""
        sha1 = _base64(self.sha1.digest())
        return {"size": self.size, "sha256": self.sha256.hexdigest(), "sha1": sha1}

    def _check_size(self, size: int) -> None:
        if size > self.announced.size:
            raise Problem(413, "too-long", f"{self.announced.size} bytes were announced, not more")
        if size < self.announced.size:
            raise Problem(400, "invalid", f"{self.announced.size} bytes were announced, not fewer")

    def _check_kind(self) -> None:
        kind = KINDS.get(self.announced.type)
        if kind is None or not kind.fits(self.head[:HEAD]):
            raise _rejected(f"the content is not {self.announced.type}")

    def _check_digest(self) -> None:
        computed = self.sha256.hexdigest()
        if {self.announced.sha256, self.incoming.sha256} - {None, computed}:
            raise _rejected("the content has another SHA-256 than was announced")


def check_type(announced: Described, incoming: Incoming) -> None:
    """415 where the request says that it brings something else."""
    if incoming.type not in (None, announced.type, *ANY):
        raise Problem(415, "not-supported", f"the content was announced as {announced.type}")


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode()


def _rejected(why: str) -> Problem:
    return Problem(422, "processing", why, v1_code="ATTACHMENT_REJECTED")
