"""Media types that may be uploaded: how their files are called, and how their bytes begin.

What a client says of a file is not believed: a program stays one under the name of a picture. Types
that a browser or an office program would run (HTML, SVG, macros) are not among them.
https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Bytes from the beginning that tell the kind; DICOM says its name after 128 bytes.
HEAD = 512


@dataclass(frozen=True, slots=True)
class Kind:
    """`begins` matches the first HEAD bytes of every file of the kind."""

    suffixes: tuple[str, ...]
    begins: re.Pattern[bytes]

    def fits(self, head: bytes) -> bool:
        """Whether a file with this beginning may be of the kind."""
        return self.begins.match(head) is not None

    def named(self, name: str) -> bool:
        """Whether a file of the kind may have that name."""
        return name.lower().endswith(self.suffixes)


def _kind(begins: bytes, *suffixes: str) -> Kind:
    return Kind(suffixes, re.compile(begins, re.DOTALL))


_ZIP = rb"PK\x03\x04"
_MP4 = rb".{4}ftyp"
_OFFICE = "application/vnd.openxmlformats-officedocument"
KINDS: Mapping[str, Kind] = {
    "application/dicom": _kind(rb".{128}DICM", ".dcm", ".dicom"),
    "application/pdf": _kind(rb"%PDF-", ".pdf"),
    f"{_OFFICE}.spreadsheetml.sheet": _kind(_ZIP, ".xlsx"),
    f"{_OFFICE}.wordprocessingml.document": _kind(_ZIP, ".docx"),
    "audio/mp4": _kind(_MP4, ".m4a", ".mp4"),
    "audio/mpeg": _kind(rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", ".mp3"),
    "image/gif": _kind(rb"GIF8[79]a", ".gif"),
    "image/heic": _kind(rb".{4}ftyp(heic|heix|mif1|msf1)", ".heic"),
    "image/jpeg": _kind(rb"\xff\xd8\xff", ".jpg", ".jpeg"),
    "image/png": _kind(rb"\x89PNG\r\n\x1a\n", ".png"),
    "image/tiff": _kind(rb"II\*\x00|MM\x00\*", ".tif", ".tiff"),
    "image/webp": _kind(rb"RIFF.{4}WEBP", ".webp"),
    # No signature: no control characters but white space, and no tag at the head.
    "text/plain": _kind(rb"(?!\s*<)[^\x00-\x08\x0b\x0e-\x1f\x7f]*\Z", ".txt"),
    "video/mp4": _kind(_MP4, ".mp4", ".m4v"),
}
