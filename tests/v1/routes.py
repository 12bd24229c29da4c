"""A valid request for every declared route, so that what all routes share is tested on all.

Whoever declares a route that takes something adds a line to BODIES; its tests are there already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from fhir_server.declarations import read_declarations
from fhir_server.mapping.route import Route
from tests.v1.attachments import PDF
from tests.v1.conftest import BASE, Caller, Ward, key

MAPPINGS = read_declarations().mappings
LEGACY = tuple(MAPPINGS.service.legacy)
ROUTES: Mapping[str, Route] = {route.id: route for route in MAPPINGS.routes}
UPLOADS = ("upload", "append")
SCOPES = " ".join([*MAPPINGS.service.scopes, "user/*.cruds"])
# Ids of nothing.
NONE = {
    "threadId": "thr_none",
    "participantId": "usr_farid",
    "attachmentId": "att_none",
    "auditId": "aud_none",
    "requestId": "gdpr_none",
}

# A body for each route that takes one, and another that is as valid.
_PDF = {"contentType": "application/pdf", "size": len(PDF)}
BODIES: Mapping[str, tuple[Any, Any]] = {
    "createThread": (
        {"participantIds": ["usr_farid"], "subject": "x"},
        {"participantIds": ["usr_farid"], "subject": "y"},
    ),
    "sendMessage": ({"body": "x"}, {"body": "y"}),
    "markRead": ({"messageIds": ["msg_none"]}, {"messageIds": ["msg_none", "msg_no"]}),
    "addParticipants": ({"participantIds": ["usr_sami"]}, {"participantIds": ["usr_laila"]}),
    "escalateThread": ({}, {"urgency": "urgent"}),
    "initiateAttachment": ({"fileName": "a.pdf", **_PDF}, {"fileName": "b.pdf", **_PDF}),
    "putNotificationChannels": (
        {"categories": []},
        {"categories": [{"category": "x", "channels": ["sms"]}]},
    ),
    "putVirtualCare": ({}, {"waitingRoom": False}),
    "putEscalationPolicy": ({"roles": ["DOCTOR"]}, {"roles": ["NURSE"]}),
    "archiveThread": (None, {}),
    "removeParticipant": (None, {}),
    **dict.fromkeys(
        ("eraseData", "exportData", "restrictProcessing", "liftRestriction"),
        ({"patientId": "pat_zahra"}, {"patientId": "pat_omid"}),
    ),
}


@dataclass(frozen=True)
class Asked:
    """A request for a route; `ids` are its path parameters, `prefix` an old one."""

    route: Route
    ids: Mapping[str, str]
    prefix: str | None = None

    @property
    def path(self) -> str:
        return (self.prefix or self.route.prefix) + self.route.template.format(**self.ids)

    @property
    def uploads(self) -> bool:
        return self.route.declared.content in UPLOADS

    @property
    def takes_json(self) -> bool:
        return self.route.body is not None and not self.uploads

    def by(self, client: httpx.Client, method: str | None = None, **more: Any) -> httpx.Response:
        """Its answer; `more` are httpx's own arguments, over those of a valid request."""
        headers = {**self._headers(), **more.pop("headers", {})}
        content: dict[str, Any] = {"content": PDF} if self.uploads else {}
        if self.takes_json and (body := self.body()) is not None:
            content = {"json": body}
        given = more if {"json", "content"} & more.keys() else {**content, **more}
        return client.request(method or self.route.method, self.path, headers=headers, **given)

    def body(self, which: int = 0) -> Any:
        """The valid one, or the other valid one."""
        body = BODIES[self.route.id][which]
        if self.route.id != "markRead":
            return body
        return {
            "messageIds": [self.ids.get("messageId", "msg_none")],
            **({"readAt": OLD} if which else {}),
        }

    def _headers(self) -> dict[str, str]:
        found = key() if self.route.method == "POST" else {}
        return {**found, **({"Upload-Offset": "0"} if self.uploads else {})}


OLD = "2020-01-01T00:00:00Z"


def prefixes(route: Route) -> tuple[str, ...]:
    """Where the route answers, first where it belongs."""
    return (route.prefix, *(LEGACY if route.prefix == BASE else ()))


def user_of(ward: Ward, route: Route, name: str = "amina", **more: Any) -> Caller:
    """Who may use the route, with every scope."""
    role = route.declared.roles[0] if route.declared.roles else "DOCTOR"
    return ward.sign_in(ward.tenant, f"usr_{name}", role, SCOPES, **more)
