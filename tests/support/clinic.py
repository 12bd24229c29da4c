"""A tenant with a small directory, and its people signed in: what they ask is plain HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

Resource = dict[str, Any]
FHIR = "/fhir/R4/"
V1 = "/v1/communication/"
JSON = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Person:
    """Someone signed in. Keyword arguments are headers: `if_match='W/"1"'`."""

    http: httpx.Client
    reference: str
    authorization: str

    def ask(
        self, method: str, path: str, content: str | bytes | None = None, **headers: str
    ) -> httpx.Response:
        """One request; the path is relative to the FHIR face unless it begins with a slash."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        address = path if path.startswith(("/", "http:")) else FHIR + path
        signed = {"authorization": self.authorization, **given}
        return self.http.request(method, address, content=content, headers=signed)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, **headers)

    def delete(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("DELETE", path, **headers)

    def post(self, resource: Resource, path: str = "", **headers: str) -> httpx.Response:
        """Creates it, or sends it to `path`."""
        headers = {"content_type": JSON, **headers}
        return self.ask("POST", path or resource["resourceType"], json.dumps(resource), **headers)

    def put(self, resource: Resource, path: str = "", **headers: str) -> httpx.Response:
        """Updates it at its own address, or at `path`."""
        headers = {"content_type": JSON, **headers}
        address = path or f"{resource['resourceType']}/{resource['id']}"
        return self.ask("PUT", address, json.dumps(resource), **headers)

    def v1(
        self, method: str, path: str, body: Resource | None = None, **headers: str
    ) -> httpx.Response:
        """A request to the v1 face, a POST with a key of its own unless one is given."""
        if method == "POST":
            headers = {"idempotency_key": uuid4().hex, **headers}
        content = None if body is None else json.dumps(body)
        return self.ask(method, V1 + path, content, content_type="application/json", **headers)

    def ids(self, query: str) -> set[str]:
        """The ids of the matches of a search."""
        found = self.get(query)
        assert found.status_code == 200, found.text
        return {entry["resource"]["id"] for entry in found.json().get("entry", ())}

    def created(self, resource: Resource) -> Resource:
        """As stored."""
        answer = self.post(resource)
        assert answer.status_code == 201, answer.text
        return stored(answer)

    def read(self, thread: Resource, *messages: Resource, at: str | None = None) -> httpx.Response:
        """Marks messages read."""
        listed: list[Resource] = [
            {"name": "message", "valueReference": {"reference": reference(message)}}
            for message in messages
        ]
        if at:
            listed.append({"name": "readAt", "valueInstant": at})
        body = {"resourceType": "Parameters", "parameter": listed}
        return self.post(body, f"{reference(thread)}/$mark-read")


class Clinic:
    """The people of one tenant: clinicians amina, farid and sami, patients zahra, omid and
    sealed (restricted), and the clinic's own backend."""

    def __init__(self, http: httpx.Client, token: Callable[..., str]) -> None:
        self._http = http
        self._token = token
        self.tenant = f"t-{uuid4().hex[:12]}"
        self.service = self.person("usr_service", "SERVICE")
        self.amina = self.person("usr_amina", "DOCTOR")
        self.farid = self.person("usr_farid", "DOCTOR")
        self.sami = self.person("usr_sami", "NURSE")
        self.zahra = self.person("pat_zahra", "PATIENT")
        for resource in directory():
            assert self.service.put(resource).status_code == 201

    def person(self, subject: str, role: str, *scope: str, patient: str | None = None) -> Person:
        """Someone else of the tenant."""
        token = self._token(self.tenant, subject, role, *scope, patient=patient)
        kind = "Patient" if subject.startswith("pat_") else "Practitioner"
        return Person(self._http, f"{kind}/{subject[4:]}", f"Bearer {token}")


def directory() -> list[Resource]:
    """The people whom a clinic knows."""
    staff = [{"resourceType": "Practitioner", "id": name} for name in ("amina", "farid", "sami")]
    patients: list[Resource] = [{"resourceType": "Patient", "id": name} for name in OPEN]
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    sealed = {"resourceType": "Patient", "id": "sealed", "meta": {"security": [label]}}
    return [*staff, *patients, sealed]


OPEN = ("zahra", "omid")


def refer(*references: str) -> list[Resource]:
    """References to those."""
    return [{"reference": text} for text in references]


def thread(*recipients: str, patient: str | None = "Patient/zahra", **more: Any) -> Resource:
    """A new thread."""
    found: Resource = {
        "resourceType": "Communication",
        "status": "in-progress",
        "topic": {"text": "Plan"},
        "recipient": refer(*(recipients or ("Practitioner/farid",))),
        **more,
    }
    return found | ({"subject": {"reference": patient}} if patient else {})


def message(thread: Resource, text: str = "Hello", **more: Any) -> Resource:
    """A new message of that thread."""
    return {
        "resourceType": "Communication",
        "status": "in-progress",
        "partOf": refer(reference(thread)),
        "payload": [{"contentString": text}],
        **more,
    }


def reference(resource: Resource) -> str:
    """`Type/id`."""
    return f"{resource['resourceType']}/{resource['id']}"


def stored(answer: httpx.Response) -> Resource:
    """The resource in an answer."""
    found: Resource = answer.json()
    return found


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and the first issue's code; the answer must be an OperationOutcome."""
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome", outcome
    assert outcome["issue"][0]["severity"] in {"error", "fatal"}
    assert outcome["issue"][0]["diagnostics"]
    return answer.status_code, outcome["issue"][0]["code"]
