"""The file store: the bytes of attachments, which are no part of the database.

A file is written once, under a name that nobody can guess, and never changed; the resource that
stands for it carries that name. Each tenant's files lie apart from those of others.
"""

from __future__ import annotations

from pathlib import Path

from fhir_server.files.clamd import Clamd
from fhir_server.files.local import LocalFiles
from fhir_server.files.model import Chunks, FileStore, LostFileError, new_name
from fhir_server.files.scanner import Scanner

__all__ = [
    "Chunks",
    "FileStore",
    "LostFileError",
    "Scanner",
    "build_files",
    "build_scanner",
    "new_name",
]

S3 = "s3://"


def build_files(place: str | Path) -> FileStore:
    """The store at `place`: a folder, or `s3://bucket/prefix`."""
    if str(place).startswith(S3):
        # Its library is large, and most servers keep their files in a folder.
        from fhir_server.files.s3 import S3Files

        return S3Files(str(place))
    return LocalFiles(Path(place))


def build_scanner(address: str | None) -> Scanner | None:
    """clamd at `host:port` or at the path of its socket; None where there is none."""
    return Clamd(address) if address else None
