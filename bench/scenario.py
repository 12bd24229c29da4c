"""What is measured: requests as a client sends them, and how the floor reads its values off them.

`marks` are the values of a request that its statements depend on. The floor replaces the marks of
the recorded request by those of the one at hand, wherever they stand in arguments and answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
from starlette.requests import Request

SEQUENCE = b"0123456789abcdef"  # replaced by a number no other request has


@dataclass(frozen=True, slots=True)
class Scenario:
    """`target` is the least ratio to the floor; `marks` reads a request and its body; `creates`
    says that the id in the answer is a mark too."""

    name: str
    title: str
    method: str
    route: str
    marks: Callable[[Request, bytes], list[str]]
    target: float | None = None
    creates: bool = False


def _id(request: Request, _: bytes) -> list[str]:
    return [request.path_params["id"]]


def _subject(request: Request, _: bytes) -> list[str]:
    return [request.query_params["subject"]]


def _about(_: Request, body: bytes) -> list[str]:
    return [str(orjson.loads(body)["subject"]["reference"])]


def _thread(_: Request, body: bytes) -> list[str]:
    return [str(orjson.loads(body)["partOf"][0]["reference"]).partition("/")[2]]


def _sending(request: Request, _: bytes) -> list[str]:
    thread = request.path_params["thread"].removeprefix("thr_")
    return [thread, request.headers["idempotency-key"]]


def _nothing(_: Request, __: bytes) -> list[str]:
    return []


FHIR = "/fhir/R4/Communication"
V1 = "/v1/communication/threads"
SCENARIOS: Sequence[Scenario] = (
    Scenario("read", "read by id", "GET", FHIR + "/{id}", _id, 0.6),
    Scenario("search", "25 newest of a patient", "GET", FHIR, _subject, 0.65),
    Scenario("threads", "v1: list threads", "GET", V1, _nothing, 0.5),
    Scenario("create", "FHIR create, a record", "POST", FHIR, _about, 0.45, creates=True),
    Scenario("message", "FHIR create, a message", "POST", FHIR, _thread, 0.45, creates=True),
    Scenario("send", "v1: send a message", "POST", V1 + "/{thread}/messages", _sending, 0.5, True),
)


def new_id() -> str:
    """An id such as the server makes."""
    return str(uuid4())


def http(method: str, path: str, token: str, body: Any = None, **headers: str) -> bytes:
    """A request as bytes."""
    content = b"" if body is None else orjson.dumps(body)
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: bench",
        f"authorization: Bearer {token}",
        "accept: */*",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    if body is not None:
        lines.append(f"content-length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode() + content
