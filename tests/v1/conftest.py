"""A hospital ward to talk in: two tenants with people in them, clients, and what was emitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from fhir_server.workers.gdpr import Gdpr
from tests.support.clamd import Double

BASE = "/v1/communication"
RESTRICTED = {
    "security": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    ]
}


def key() -> dict[str, str]:
    """A fresh Idempotency-Key."""
    return {"Idempotency-Key": str(uuid4())}


@dataclass(frozen=True)
class Caller:
    """Someone who is signed in; paths are below the v1 base."""

    client: httpx.Client

    def get(self, path: str, **query: str) -> httpx.Response:
        return self.client.get(BASE + path, params=query)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        sent = {**key(), **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.client.post(BASE + path, json=body, headers=sent)

    def patch(self, path: str, **headers: str) -> httpx.Response:
        return self.client.patch(BASE + path, headers=headers)

    def open_thread(self, *participants: str, **more: str) -> str:
        """A new thread's id."""
        body = {"participantIds": list(participants), "subject": "Ward round", **more}
        answer = self.post("/threads", body)
        assert answer.status_code == 201, answer.text
        thread: str = answer.json()["threadId"]
        return thread

    def send(self, thread: str, body: str = "Hello", urgency: str = "routine") -> str:
        """A new message's id."""
        sent = {"body": body, "urgency": urgency}
        answer = self.post(f"/threads/{thread}/messages", sent)
        assert answer.status_code == 201, answer.text
        message: str = answer.json()["messageId"]
        return message

    def threads(self, **query: str) -> list[dict[str, Any]]:
        answer = self.get("/threads", **query)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def messages(self, thread: str, **query: str) -> list[dict[str, Any]]:
        answer = self.get(f"/threads/{thread}/messages", **query)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def read(self, thread: str, *messages: str, **more: str) -> httpx.Response:
        body = {"messageIds": list(messages), **more}
        return self.post(f"/threads/{thread}/read", body)

    def fhir(self, path: str) -> Any:
        answer = self.client.get("/fhir/R4" + path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass(frozen=True)
class Ward:
    """One tenant: amina, farid and sami are doctors, laila is a nurse, zahra and omid patients;
    `sealed` is a restricted patient without a care team."""

    tenant: str
    sign_in: Callable[..., Caller]
    database_url: str

    def doctor(self, name: str, **more: Any) -> Caller:
        return self.sign_in(self.tenant, f"usr_{name}", "DOCTOR", **more)

    def patient(self, name: str) -> Caller:
        return self.sign_in(self.tenant, f"pat_{name}", "PATIENT", patient=f"Patient/{name}")

    def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Type, subject and data of everything emitted, in order."""
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute(
                "SELECT type, subject, data FROM outbox WHERE tenant = %s ORDER BY seq",
                [self.tenant],
            ).fetchall()
        return [(str(kind), str(subject), dict(data)) for kind, subject, data in rows]


@pytest.fixture
def sign_in(server_url: str, token: Any) -> Iterator[Callable[..., Caller]]:
    """Makes callers; arguments as for `token`."""
    with ExitStack() as opened:

        def make(*args: Any, **more: Any) -> Caller:
            headers = {"Authorization": f"Bearer {token(*args, **more)}"}
            client = httpx.Client(base_url=server_url, headers=headers)
            return Caller(opened.enter_context(client))

        yield make


@pytest.fixture
def wards(sign_in: Callable[..., Caller], database_url: str) -> Callable[[], Ward]:
    """Makes tenants."""

    def make() -> Ward:
        ward = Ward(f"t-{uuid4().hex[:12]}", sign_in, database_url)
        service = sign_in(ward.tenant, "usr_directory", "SERVICE").client
        for name in ("amina", "farid", "sami", "laila"):
            _put(service, {"resourceType": "Practitioner", "id": name})
        for name in ("zahra", "omid"):
            _put(service, {"resourceType": "Patient", "id": name})
        _put(service, {"resourceType": "Patient", "id": "sealed", "meta": RESTRICTED})
        return ward

    return make


@pytest.fixture
def ward(wards: Callable[[], Ward]) -> Ward:
    return wards()


@pytest.fixture
def amina(ward: Ward) -> Caller:
    return ward.doctor("amina")


@pytest.fixture
def farid(ward: Ward) -> Caller:
    return ward.doctor("farid")


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    """A scanner of this file's own."""
    with Double().running() as double:
        yield double


@pytest.fixture(scope="module")
def idle() -> Iterator[None]:
    """Requests under the GDPR stay as they are made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Gdpr, "running", lambda _: AsyncExitStack())
        yield


def _put(client: httpx.Client, resource: dict[str, Any]) -> None:
    path = f"/fhir/R4/{resource['resourceType']}/{resource['id']}"
    answer = client.put(path, json=resource)
    assert answer.status_code == 201, answer.text


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, after a look at its envelope."""
    body = answer.json()
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    assert set(body["error"]) == {"code", "message", "details"}
    return answer.status_code, body["error"]["code"]
