"""The events as an AsyncAPI document, generated from the mapping files.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from fhir_server.mapping.loader import Mappings

CONTENT_TYPE: Final = "application/cloudevents+json"


def asyncapi(mappings: Mappings, version: str) -> dict[str, Any]:
    """Every event that is published, its subjects, and the events that are consumed."""
    sent = {type_: _published(mappings, type_) for type_ in sorted(mappings.events)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Events of the communication service",
            "version": version,
            "description": "CloudEvents 1.0 in structured JSON, on NATS JetStream.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": sent,
        "operations": {
            type_: {"action": "send", "channel": {"$ref": f"#/channels/{type_}"}} for type_ in sent
        },
    }


def _published(mappings: Mappings, type_: str) -> dict[str, Any]:
    subject, *old = mappings.service.events.subjects(type_, date.min)
    sunsets = {
        old_subject: sunset.isoformat()
        for sunset in mappings.service.events.legacy
        for old_subject in old
        if old_subject not in mappings.service.events.subjects(type_, _after(sunset))
    }
    return {
        "address": subject,
        "messages": {type_: _message(type_, mappings.events[type_].schema)},
        **({"x-legacy-addresses": sunsets} if sunsets else {}),
    }


def _after(sunset: date) -> date:
    return date.fromordinal(sunset.toordinal() + 1)


def _message(type_: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": type_,
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "properties": {"Nats-Msg-Id": {"type": "string", "description": "the event's id"}},
        },
        "payload": _envelope(type_, data),
    }


def _envelope(type_: str, data: Mapping[str, Any]) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    below = {name: value for name, value in data.items() if name != "$schema"}
    return {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "tenantid", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text,
            "source": text,
            "type": {"const": type_},
            "subject": {**text, "description": "the resource, as Type/id"},
            "time": {"type": "string", "format": "date-time"},
            "tenantid": text,
            "datacontenttype": {"const": "application/json"},
            "data": below,
        },
    }
