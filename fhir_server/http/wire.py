"""Requests and answers at the ASGI level, shared by both faces and free of framework overhead.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from asyncio import create_task, get_running_loop, timeout, timeout_at
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from fhir_server.context import Origin
from fhir_server.problems import Problem, invalid

log = logging.getLogger(__name__)

MOST_PARAMETERS = 200
# Seconds in which a body must have come: a client that trickles holds a request open.
PATIENCE = 30.0
# Bytes a second of an upload, after that many seconds: a bad line may do, a stalled one may not.
SLOWEST = 2048
# Digits; Python refuses to read very long numbers.
LONGEST_LENGTH = 18
PLAIN_CODINGS = frozenset({"", "identity"})
# These have no body, so no length of one either (RFC 9110, 8.6).
WITHOUT_BODY = frozenset({204, 304})
# A client's own name for its request; any other is not kept.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:~+=/-]{1,128}", re.ASCII)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; header names in lower case. `updated` is when the resource in it changed, to
    more than the second that a header tells. `stream` is a body of `length` bytes (None where
    nobody knows) that is sent as it comes, instead of `body`."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    updated: datetime | None = None
    stream: AsyncGenerator[bytes, None] | None = None
    length: int | None = 0


@dataclass(slots=True)
class Request:
    """One HTTP request; the body is read when it is asked for, never beyond `limit` bytes, and for
    no more than `patience` seconds."""

    scope: Scope
    receive: Receive
    limit: int
    patience: float = PATIENCE
    # Parameters that came in a form.
    posted: list[tuple[str, str]] = field(default_factory=list)
    _headers: dict[bytes, bytes] | None = None
    _body: bytes | None = None
    _query: list[tuple[str, str]] | None = None

    def header(self, name: str) -> str | None:
        """The header's value (its last one), or None."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        value = self._headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    @property
    def method(self) -> str:
        """`GET` …"""
        return str(self.scope["method"])

    def query(self) -> list[tuple[str, str]]:
        """The query's parameters in order; 400 where they are not UTF-8."""
        if self._query is None:
            self._query = form(self.scope["query_string"])
        return self._query

    def parameters(self) -> list[tuple[str, str]]:
        """Those of the query, and of a form as soon as that was read."""
        return [*self.query(), *self.posted] if self.posted else self.query()

    @property
    def origin(self) -> str:
        """`http://host:port` as the client addressed it."""
        host = self.header("host") or "localhost"
        return f"{self.scope['scheme']}://{host}"

    def asked_from(self) -> Origin:
        """Where it comes from, as the audit trail tells it."""
        client = self.scope.get("client")
        named = self.header("x-request-id")
        if named is not None and not _REQUEST_ID.fullmatch(named):
            named = None
        return Origin(client[0] if client else None, named)

    async def body(self) -> bytes:
        """The whole body; 413 where it is over the limit, 408 where it does not come, 415 where it
        is compressed."""
        if self._body is None:
            self._check_plain()
            self._body = await self._whole()
        return self._body

    async def _whole(self) -> bytes:
        declared = self.header("content-length")
        if declared and not (is_length(declared) and int(declared) <= self.limit):
            raise _too_large(self.limit)
        try:
            async with timeout(self.patience):
                return await self._received()
        except TimeoutError:
            raise _too_slow() from None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, however long: whoever reads it counts. 408 for a client that falls
        behind SLOWEST."""
        self._check_plain()
        clock, size, more = get_running_loop().time, 0, True
        start = clock()
        while more:
            try:
                async with timeout_at(start + self.patience + size / SLOWEST):
                    chunk, more = await self._chunk()
            except TimeoutError:
                raise _too_slow() from None
            size += len(chunk)
            yield chunk

    def _check_plain(self) -> None:
        """Nothing is unpacked here, so that no small body becomes a large one."""
        coding = self.header("content-encoding")
        if coding is not None and coding.strip().lower() not in PLAIN_CODINGS:
            why = "the body must come as it is, without a Content-Encoding"
            raise Problem(415, "not-supported", why, headers={"accept-encoding": "identity"})

    async def _received(self) -> bytes:
        parts, size, more = list[bytes](), 0, True
        while more:
            chunk, more = await self._chunk()
            parts.append(chunk)
            size += len(chunk)
            if size > self.limit:
                raise _too_large(self.limit)
        return b"".join(parts)

    async def _chunk(self) -> tuple[bytes, bool]:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise invalid("the connection was closed before the body was complete")
        return message.get("body", b""), message.get("more_body", False)


def form(encoded: bytes) -> list[tuple[str, str]]:
    """The parameters of a query or form; 400 where they are not UTF-8 or too many."""
    if not encoded:
        return []
    try:
        return parse_qsl(
            encoded.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise invalid("the parameters are not UTF-8, or there are too many of them") from None


def segments(scope: Scope, root: str) -> list[str]:
    """The words of the path below `root`. An encoded slash is part of no word that any face
    knows: taken for a slash, it would lead past what a proxy in front guards by path."""
    if b"%2f" in scope.get("raw_path", b"").lower():
        return ["?"]
    path: str = scope["path"]
    return path[len(root) + 1 :].split("/")


def media_type(header: str | None) -> str:
    """`application/fhir+json; charset=utf-8` → `application/fhir+json`."""
    return (header or "").partition(";")[0].strip().lower()


def http_date(moment: datetime) -> str:
    """`Sat, 31 Jan 2026 09:05:07 GMT`. https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7"""
    utc = moment.astimezone(UTC)
    day, month = _DAYS[utc.weekday()], _MONTHS[utc.month - 1]
    return f"{day}, {utc.day:02} {month} {utc.year:04} {utc.time().isoformat('seconds')} GMT"


async def send_reply(
    send: Send, reply: Reply, receive: Receive | None = None, *, with_body: bool = True
) -> None:
    """Sends the answer: in two messages, unless its body is a stream, which ends when `receive`
    tells that the client has left."""
    headers: Iterable[tuple[bytes, bytes]] = (
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()
    )
    size = len(reply.body) if reply.stream is None else reply.length
    length = [(b"content-length", str(size).encode())] if size is not None else []
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [*headers, *(length if reply.status not in WITHOUT_BODY else ())],
        }
    )
    if reply.stream is not None:
        async with aclosing(reply.stream) as stream:
            if with_body and not await _streamed(send, receive, stream):
                # Without its end the server cuts the connection: a part must not pass for a whole.
                return
    await send({"type": "http.response.body", "body": reply.body if with_body else b""})


async def _streamed(
    send: Send, receive: Receive | None, stream: AsyncGenerator[bytes, None]
) -> bool:
    """Whether all of it was sent: not where the client left, nor where there was no more to be
    had."""
    leaving = create_task(_left(receive)) if receive else None
    try:
        async for chunk in stream:
            if leaving and leaving.done():
                return False
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except Exception:  # noqa: BLE001 - whatever it is, what was sent is not the whole
        # Its message may quote patient data: the log gets the place only.
        log.error("an answer broke off at %s", place())  # noqa: TRY400
        return False
    finally:
        if leaving:
            leaving.cancel()
    return True


async def _left(receive: Receive) -> None:
    """Returns once the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def place() -> str:
    """Where the exception in hand was raised. Its message may quote patient data, so a log gets
    this instead."""
    kind, _, trace = sys.exc_info()
    last = traceback.extract_tb(trace)[-1] if trace else None
    where = f"{last.filename}:{last.lineno} in {last.name}" if last else "?"
    return f"{where}: {kind.__name__ if kind else '?'}"


def is_length(text: str) -> bool:
    """Whether it is a number of bytes that can be read."""
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_LENGTH


def _too_slow() -> Problem:
    # Closing is the only way not to read the rest.
    close = {"connection": "close"}
    why = "the body did not come in time"
    return Problem(408, "timeout", why, v1_code="VALIDATION_ERROR", headers=close)


def _too_large(limit: int) -> Problem:
    return Problem(413, "too-long", f"the body is larger than {limit} bytes")
