"""What the tests of bad input are played in: two tenants, a patient, a conversation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from psycopg import sql

from fhir_server.settings import Settings
from tests.bad_input.faces import MARKER

FHIR, V1 = "/fhir/R4", "/v1/communication"
TENANT, OTHER_TENANT = "bad-input", "bad-input-north"
EVERY_SCOPE = "messaging:read messaging:write user/*.cruds system/*.cruds"
JSON_OF = {FHIR: "application/fhir+json", V1: "application/json"}

Token = Callable[..., str]


@dataclass(frozen=True, slots=True)
class World:
    """The running server, the ids of what it holds, and tokens by name."""

    client: httpx.Client
    address: str
    settings: Settings
    token: Token
    tokens: Mapping[str, str]
    ids: dict[str, str] = field(default_factory=dict)

    @classmethod
    def found(cls, client: httpx.Client, address: str, settings: Settings, token: Token) -> World:
        """Founds the world through the faces themselves."""
        tokens = {
            "doctor": token(TENANT, "usr_amina", "DOCTOR"),
            "colleague": token(TENANT, "usr_farid", "DOCTOR"),
            "patient": token(TENANT, "pat_zahra", "PATIENT"),
            "system": token(TENANT, "usr_system", "SERVICE"),
            "foreigner": token(OTHER_TENANT, "usr_amina", "DOCTOR"),
        }
        world = cls(client, address, settings, token, tokens)
        world._settle()
        return world

    def ask(
        self,
        method: str,
        path: str,
        *,
        caller: str = "doctor",
        json: Any = None,
        headers: Mapping[str, str | None] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """One request with what a well-behaved client would send along; None drops a header."""
        good = {"authorization": f"Bearer {self.tokens[caller]}", **usual(method, path)}
        sent = {name: value for name, value in (good | dict(headers or {})).items() if value}
        if json is not None:
            more["content"] = dumped(json)
        return self.client.request(method, path, headers=sent, **more)

    def send(
        self, method: str, path: str, json: Any = None, **headers: bytes | None
    ) -> httpx.Response:
        """One request with headers as bytes, as they go over the wire; `_` stands for `-`."""
        good = {"authorization": f"Bearer {self.tokens['doctor']}", **usual(method, path)}
        sent: dict[bytes, bytes | None] = {k.encode(): v.encode() for k, v in good.items()}
        sent |= {name.replace("_", "-").encode(): value for name, value in headers.items()}
        given = {name: value for name, value in sent.items() if value is not None}
        return self.client.request(method, path, json=json, headers=given)

    def _settle(self) -> None:
        for kind, id in (
            ("Practitioner", "amina"),
            ("Practitioner", "farid"),
            ("Patient", "zahra"),
        ):
            resource = {"resourceType": kind, "id": id, "name": [{"family": MARKER}]}
            self._made("PUT", f"{FHIR}/{kind}/{id}", json=resource, caller="system")
        thread = {"participantIds": ["usr_farid"], "patientId": "pat_zahra", "subject": MARKER}
        self.ids["thread"] = self._made("POST", f"{V1}/threads", json=thread)["threadId"][4:]
        for number in range(3):
            path, text = f"{V1}/threads/thr_{self.ids['thread']}/messages", f"{MARKER} {number}"
            sent = self._made("POST", path, json={"body": text})
            self.ids["message"] = sent["messageId"][4:]
        self._made("POST", f"{V1}/threads", json=thread)

    def _made(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        response = self.ask(method, path, **more)
        assert response.is_success, response.text
        made: dict[str, Any] = response.json()
        return made


def usual(method: str, path: str) -> dict[str, str]:
    """The headers of a write on the path's face."""
    headers: dict[str, str] = {}
    if method in ("POST", "PUT", "PATCH"):
        face = FHIR if path.startswith(FHIR) else V1
        headers["content-type"] = JSON_OF[face]
        if face == V1 and method == "POST":
            headers["idempotency-key"] = uuid4().hex
    return headers


def dumped(value: Any) -> bytes:
    """JSON, lone surrogates and all."""
    return json.dumps(value).encode()


# Where a refusal is to leave something: tests/audit says what.
TRAIL = frozenset({"auditevent", "audit_link"})


class Tables:
    """Counts the rows of every table but the audit trail's, of all tenants."""

    def __init__(self, connection: psycopg.Connection) -> None:
        # A refusal instead of too few rows where row-level security would hide some.
        connection.execute("SET row_security = off")
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        each = [
            sql.SQL("SELECT {}, count(*) FROM {}").format(sql.Literal(name), sql.Identifier(name))
            for (name,) in found
            if name not in TRAIL
        ]
        self._connection = connection
        self._all = sql.SQL(" UNION ALL ").join(each)

    def counts(self) -> dict[str, int]:
        """Rows by table."""
        return dict(self._connection.execute(self._all).fetchall())
