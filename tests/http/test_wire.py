import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from fhir_server.http.wire import Reply, http_date, send_reply

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=4, minutes=30))])
MOMENTS = st.datetimes(datetime(1900, 1, 2), datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001


@given(MOMENTS)
def test_an_http_date_is_what_the_standard_library_writes(moment: datetime) -> None:
    assert http_date(moment) == format_datetime(moment.astimezone(UTC), usegmt=True)


class Line:
    """Somebody at the other end of a line: takes `patience` pieces, and leaves."""

    def __init__(self, patience: int = 1_000) -> None:
        self.pieces: list[bytes] = []
        self.ended = False
        self._patience = patience
        self._left = asyncio.Event()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.pieces.append(message["body"])
            self.ended = not message.get("more_body", False)
        if len(self.pieces) == self._patience:
            self._left.set()
        await asyncio.sleep(0)

    async def receive(self) -> Message:
        await self._left.wait()
        return {"type": "http.disconnect"}


class Work:
    """Makes pieces; counts them, and knows whether it was ended."""

    def __init__(self, pieces: int, fault: Exception | None = None) -> None:
        self.made = 0
        self.ended = False
        self._pieces, self._fault = pieces, fault

    async def stream(self) -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(self._pieces):
                self.made += 1
                yield b"x"
            if self._fault:
                raise self._fault
        finally:
            self.ended = True


async def test_a_stream_of_unknown_length_is_sent_to_its_end() -> None:
    line, work = Line(), Work(50)
    await send_reply(line.send, Reply(200, stream=work.stream(), length=None), line.receive)
    assert b"".join(line.pieces) == b"x" * 50
    assert line.ended
    assert work.ended


async def test_the_work_stops_when_the_client_leaves() -> None:
    line, work = Line(patience=3), Work(1_000)
    await send_reply(line.send, Reply(200, stream=work.stream(), length=None), line.receive)
    assert 3 <= work.made < 10
    assert work.ended


async def test_a_stream_that_breaks_off_has_no_end(caplog: pytest.LogCaptureFixture) -> None:
    """… so that the server cuts the connection; the log has the place, and no word of the fault."""
    line, work = Line(), Work(3, RuntimeError("Zahra"))
    await send_reply(line.send, Reply(200, stream=work.stream(), length=None), line.receive)
    assert b"".join(line.pieces) == b"xxx"
    assert not line.ended
    assert "RuntimeError" in caplog.text
    assert "Zahra" not in caplog.text


async def test_a_head_does_no_work() -> None:
    line, work = Line(), Work(3)
    reply = Reply(200, stream=work.stream(), length=None)
    await send_reply(line.send, reply, line.receive, with_body=False)
    assert (b"".join(line.pieces), line.ended, work.made) == (b"", True, 0)
