"""Events as the world outside sees them: CloudEvents 1.0 in structured JSON.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

from typing import Any, Final

from fhir_server.fhir.instant import now_text
from fhir_server.store.write import OutboxEvent

SOURCE: Final = "urn:fhir-server"
CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"


def cloud_event(tenant: str, event: OutboxEvent) -> dict[str, Any]:
    """The event; `tenantid` is an extension attribute."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": SOURCE,
        "type": event.type,
        "subject": event.subject,
        "time": now_text(event.time),
        "tenantid": tenant,
        "datacontenttype": "application/json",
        "data": event.data,
    }
