"""What tests of attachments do: announce, upload, wait for the verdict, send."""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx

from tests.support.clamd import EICAR
from tests.v1.conftest import BASE, Caller

PDF = b"%PDF-1.7\n" + b"a picture of the heart " * 60
PATIENCE = 30.0
INFECTED = PDF + EICAR


def announce(who: Caller, thread: str, content: bytes = PDF, **more: Any) -> httpx.Response:
    body = {"fileName": "heart.pdf", "contentType": "application/pdf", "size": len(content)}
    return who.post(f"/threads/{thread}/attachments", {**body, **more})


def put(who: Caller, attachment: str, content: Any = PDF, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    address = f"{BASE}/attachments/{attachment}/content"
    return who.client.put(address, content=content, headers=given)


def fetch(who: Caller, attachment: str, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return who.client.get(f"{BASE}/attachments/{attachment}/content", headers=given)


def announced(who: Caller, thread: str, content: bytes = PDF, **more: Any) -> str:
    """A new attachment's id."""
    answer = announce(who, thread, content, **more)
    assert answer.status_code == 201, answer.text
    attachment: str = answer.json()["attachmentId"]
    return attachment


def uploaded(who: Caller, thread: str, content: bytes = PDF, **more: Any) -> str:
    """The id of one whose content is here."""
    attachment = announced(who, thread, content, **more)
    answer = put(who, attachment, content)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "quarantined"
    return attachment


def state(who: Caller, attachment: str) -> str:
    answer = who.get(f"/attachments/{attachment}")
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["state"]
    return found


def settled(who: Caller, attachment: str) -> str:
    """Its state after the scan, whenever that is."""
    end = time.monotonic() + PATIENCE
    while (found := state(who, attachment)) == "quarantined" and time.monotonic() < end:
        time.sleep(0.01)
    return found


def clean(who: Caller, thread: str, content: bytes = PDF, **more: Any) -> str:
    """The id of one that may be sent."""
    attachment = uploaded(who, thread, content, **more)
    assert settled(who, attachment) == "clean"
    return attachment


def send(who: Caller, thread: str, *attachments: str) -> httpx.Response:
    body = {"body": "See attached", "attachmentIds": list(attachments)}
    return who.post(f"/threads/{thread}/messages", body)


def digest(content: bytes) -> str:
    """As https://www.rfc-editor.org/rfc/rfc9530 writes it."""
    return f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"


def kept(folder: Path) -> set[bytes]:
    """The content of every file that the store keeps, finished or not."""
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reference(attachment: str) -> str:
    return attachment.replace("att_", "DocumentReference/")


def resource(who: Caller, attachment: str) -> dict[str, Any]:
    found: dict[str, Any] = who.fhir("/" + reference(attachment))
    return found
