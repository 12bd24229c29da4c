"""What a resource of each type must have, and words in every text of it that searches look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
MADE = "2026-01-31T09:00:00.000Z"


class Marked:
    """Takes each word from `words`, which are those of one resource."""

    words: Iterator[str]

    def texts_of(self, kind: str) -> Json:
        """The elements of a new resource of that type."""
        own: Json = getattr(self, f"_{kind.lower()}", dict)()
        return {**own, **self._common(kind)}

    def word(self) -> str:
        return next(self.words)

    def _common(self, kind: str) -> Json:
        if kind in ("Binary", "Bundle"):
            return {}
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{self.word()}</div>'
        found: Json = {"text": {"status": "generated", "div": div}}
        if kind not in ("AuditEvent", "Provenance", "Subscription"):
            found["identifier"] = [{"system": "urn:x:mrn", "value": self.word()}]
        return found

    # What a type must have, and every text that it may have and that searches look at.

    def _person(self) -> Json:
        return {
            "name": [{"family": self.word(), "given": [self.word()]}],
            "telecom": [{"system": "phone", "value": self.word()}],
            "address": [{"city": self.word(), "line": [self.word()]}],
        }

    def concept(self) -> Json:
        return {"text": self.word(), "coding": [{"system": "urn:x:code", "code": self.word()}]}

    def _patient(self) -> Json:
        return {**self._person(), "birthDate": "1980-01-01", "active": True}

    _practitioner = _person
    _relatedperson = _person

    def _practitionerrole(self) -> Json:
        return {"code": [self.concept()], "active": True}

    def _named(self) -> Json:
        return {"name": self.word()}

    _organization = _named
    _healthcareservice = _named
    _location = _named

    def _careteam(self) -> Json:
        return {"name": self.word(), "status": "active"}

    def _communication(self) -> Json:
        return {
            "status": "in-progress",
            "sent": "2026-01-31T09:00:00Z",
            "category": [self.concept()],
            "payload": [{"contentString": self.word()}],
            "note": [{"text": self.word()}],
            "priority": "routine",
        }

    def _communicationrequest(self) -> Json:
        return {
            "status": "active",
            "category": [self.concept()],
            "payload": [{"contentString": self.word()}],
            "note": [{"text": self.word()}],
            "authoredOn": "2026-01-31T09:00:00Z",
        }

    def _encounter(self) -> Json:
        return {
            "status": "planned",
            "class": {"system": "urn:x:class", "code": self.word(), "display": self.word()},
            "type": [self.concept()],
            "reasonCode": [self.concept()],
            "period": {"start": "2026-01-31"},
        }

    def _documentreference(self) -> Json:
        attachment = {
            "title": self.word(),
            "contentType": "text/plain",
            "url": f"urn:{self.word()}",
        }
        return {
            "status": "current",
            "date": MADE,
            "description": self.word(),
            "type": self.concept(),
            "content": [{"attachment": {**attachment, "size": 5}}],
        }

    def _task(self) -> Json:
        return {
            "status": "requested",
            "intent": "order",
            "description": self.word(),
            "code": self.concept(),
            "note": [{"text": self.word()}],
        }

    def _list(self) -> Json:
        return {
            "status": "current",
            "mode": "working",
            "title": self.word(),
            "code": self.concept(),
            "note": [{"text": self.word()}],
        }

    def _appointment(self) -> Json:
        return {
            "status": "booked",
            "description": self.word(),
            "comment": self.word(),
            "start": "2026-02-01T09:00:00Z",
            "end": "2026-02-01T10:00:00Z",
        }

    def _device(self) -> Json:
        return {"manufacturer": self.word(), "deviceName": [self._device_name()]}

    def _device_name(self) -> Json:
        return {"name": self.word(), "type": "user-friendly-name"}

    def _basic(self) -> Json:
        return {"code": self.concept()}

    def _binary(self) -> Json:
        return {"contentType": f"text/{self.word()}", "data": "aGVsbG8="}

    def _bundle(self) -> Json:
        return {"type": "collection", "identifier": {"value": self.word()}}

    def _group(self) -> Json:
        return {"type": "person", "actual": True, "name": self.word(), "code": self.concept()}

    def _subscription(self) -> Json:
        return {
            "status": "requested",
            "reason": self.word(),
            "criteria": "Communication?status=completed",
            "channel": {"type": "rest-hook", "endpoint": f"https://x.example/{self.word()}"},
        }

    def _auditevent(self) -> Json:
        return {
            "type": {"system": "urn:x:audit", "code": self.word()},
            "recorded": MADE,
            "agent": [{"requestor": True, "name": self.word()}],
            "source": {"observer": {"display": self.word()}},
        }

    def _provenance(self) -> Json:
        return {
            "recorded": MADE,
            "reason": [self.concept()],
            "agent": [{"who": {"display": self.word()}}],
            "target": [{"display": self.word()}],
        }
