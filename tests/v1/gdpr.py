"""What tests of requests under the GDPR do: ask, wait for what comes of it, open the zip."""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass
from typing import Any
from zipfile import ZipFile

import httpx

from tests.v1.conftest import Caller, Ward, key

SCOPES = "gdpr:erase gdpr:export gdpr:restrict gdpr:read user/*.cruds"
PATIENCE = 60.0
CLOSED = ("completed", "failed", "cancelled", "on-hold")


def administrator(ward: Ward) -> Caller:
    return ward.sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPES)


def ask(admin: Caller, what: str, **body: str) -> httpx.Response:
    return admin.client.post(f"/v1/gdpr/{what}", json=body, headers=key())


def asked(admin: Caller, what: str, **body: str) -> str:
    """The id of a new request."""
    answer = ask(admin, what, **body)
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["requestId"]
    return found


def seen(admin: Caller, request: str) -> dict[str, Any]:
    answer = admin.client.get(f"/v1/gdpr/requests/{request}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def done(admin: Caller, request: str) -> dict[str, Any]:
    """What came of it, whenever that is."""
    end = time.monotonic() + PATIENCE
    while (found := seen(admin, request))["state"] not in CLOSED and time.monotonic() < end:
        time.sleep(0.02)
    return found


def fetch(who: Caller, request: str, **headers: str) -> httpx.Response:
    return who.client.get(f"/v1/gdpr/requests/{request}/export", headers=headers)


@dataclass(frozen=True)
class Export:
    """An opened zip."""

    zip: ZipFile

    def resources(self, folder: str = "") -> list[dict[str, Any]]:
        """Those of every NDJSON file in that folder."""
        names = (n for n in self.zip.namelist() if n.endswith(".ndjson"))
        return [
            json.loads(line)
            for name in names
            if name.rpartition("/")[0] == folder
            for line in self.zip.read(name).splitlines()
        ]

    @property
    def references(self) -> list[str]:
        return sorted(f"{r['resourceType']}/{r['id']}" for r in self.resources())

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.zip.read("manifest.json"))
        return found


def opened(content: bytes) -> Export:
    zip = ZipFile(io.BytesIO(content))
    assert zip.testzip() is None
    return Export(zip)


def exported(admin: Caller, **subject: str) -> Export:
    """A new export of that person."""
    request = asked(admin, "export", **subject)
    assert done(admin, request)["state"] == "completed"
    answer = fetch(admin, request)
    assert answer.status_code == 200, answer.text
    return opened(answer.content)
