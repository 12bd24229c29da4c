"""What the answers under an old prefix say about its end, and about where to go.

https://www.rfc-editor.org/rfc/rfc9745 (Deprecation), https://www.rfc-editor.org/rfc/rfc8594
(Sunset), https://www.rfc-editor.org/rfc/rfc5829#section-3.1 (successor-version)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from urllib.parse import quote

from fhir_server.mapping.model import ServiceDeclaration

Succession = Callable[[str], Mapping[str, str]]


def succession(service: ServiceDeclaration, prefix: str) -> Succession:
    """Headers for an answer below an old prefix, by the path that was asked."""
    declared = service.legacy[prefix]
    dates = {
        "deprecation": f"@{int(_midnight(declared.deprecated).timestamp())}",
        "sunset": format_datetime(_midnight(declared.sunset), usegmt=True),
    }

    def headers(path: str) -> Mapping[str, str]:
        # The path came decoded: written as it is, it could end the header and begin another.
        successor = service.prefix + quote(path.removeprefix(prefix))
        return {**dates, "link": f'<{successor}>; rel="successor-version"'}

    return headers


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
