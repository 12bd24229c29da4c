"""What a request for an export says of its file.

The file's name in the file store is an identifier of the request, as it is of an attachment: so a
search finds every file there is. It is written down before the file is, and taken away after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_server.definitions.loader import CANONICAL
from fhir_server.fhir.instant import now_text
from fhir_server.interactions.model import Resource

FILE: Final = f"{CANONICAL}/NamingSystem/file"
EXPORT: Final = f"{CANONICAL}/StructureDefinition/gdpr-export"
# Where the file is; a test holds it against the declared route.
ADDRESS: Final = "/v1/gdpr/requests/gdpr_{id}/export"
ZIP: Final = "application/zip"


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that is whole: its length in bytes, its SHA-256 in hexadecimal, its last moment."""

    id: str
    size: int
    sha256: str
    until: datetime

    @property
    def extension(self) -> Resource:
        """As the request bears it."""
        values: Mapping[str, Resource] = {
            "url": {"valueUrl": ADDRESS.format(id=self.id)},
            "name": {"valueString": f"export-{self.id}.zip"},
            "type": {"valueCode": ZIP},
            "size": {"valueDecimal": self.size},
            "sha-256": {"valueString": self.sha256},
            "until": {"valueInstant": now_text(self.until)},
        }
        return {
            "url": EXPORT,
            "extension": [{"url": url, **value} for url, value in values.items()],
        }


def file_of(request: Mapping[str, Any]) -> str | None:
    """The name of its file in the file store."""
    listed = request.get("identifier", ())
    return next((str(i.get("value")) for i in listed if i.get("system") == FILE), None)


def export_of(request: Mapping[str, Any]) -> Resource | None:
    """What it says of a whole file."""
    return next((e for e in request.get("extension", ()) if e.get("url") == EXPORT), None)


def until_of(request: Mapping[str, Any]) -> datetime | None:
    """The last moment of its file; None where there is no whole one."""
    parts: list[Resource] = (export_of(request) or {}).get("extension", [])
    found = (part["valueInstant"] for part in parts if part.get("url") == "until")
    return next(map(datetime.fromisoformat, found), None)


def named(request: Resource, name: str) -> Resource:
    """A copy whose file is being written under that name."""
    found = without_file(request)
    identifier = {"system": FILE, "value": name}
    return {**found, "identifier": [*found.get("identifier", ()), identifier]}


def exported(request: Resource, export: Exported) -> Resource:
    """A copy whose file is whole."""
    others = _but(request, "extension", "url", EXPORT)
    return {**request, "extension": [*others, export.extension]}


def without_file(request: Resource) -> Resource:
    """A copy that has none."""
    left = {
        "identifier": [*_but(request, "identifier", "system", FILE)],
        "extension": [*_but(request, "extension", "url", EXPORT)],
    }
    kept = {name: value for name, value in request.items() if name not in left}
    return {**kept, **{name: value for name, value in left.items() if value}}


def _but(request: Resource, element: str, key: str, value: str) -> Iterator[Resource]:
    return (each for each in request.get(element, ()) if each.get(key) != value)
