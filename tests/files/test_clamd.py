"""The client of clamd: against the real daemon, and against one that misbehaves."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fhir_server.files.clamd import Clamd
from fhir_server.files.scanner import ScannerDownError, UnscannableError
from tests.support import clamd
from tests.support.clamd import EICAR, Double

CHUNK = 1000


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), CHUNK):
        yield content[at : at + CHUNK]


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[str]:
    with clamd.real(folder) as address:
        yield address


@pytest.fixture
def double() -> Iterator[Double]:
    with Double().running() as double:
        yield double


async def test_the_daemon_finds_eicar(daemon: str) -> None:
    assert await Clamd(daemon).infected(chunks(EICAR))


@pytest.mark.parametrize("before", [1, CHUNK - 40, 5 * CHUNK])
async def test_the_daemon_finds_it_within_a_file_and_across_chunks(
    daemon: str, before: int
) -> None:
    content = b"%PDF-1.7\n" + b" " * before + EICAR + b"\n%%EOF"
    assert await Clamd(daemon).infected(chunks(content))


async def test_the_daemon_calls_a_clean_file_clean(daemon: str) -> None:
    assert not await Clamd(daemon).infected(chunks(b"%PDF-1.7\n" + b"a clean file " * 5_000))


async def test_the_daemon_cannot_scan_what_is_larger_than_it_allows(daemon: str) -> None:
    with pytest.raises(UnscannableError):
        await Clamd(daemon).infected(chunks(b" " * 5_000_000))
    assert not await Clamd(daemon).infected(chunks(b"the next one"))


async def test_the_double_answers_as_the_daemon_does(double: Double) -> None:
    assert await Clamd(double.address).infected(chunks(b" " * 2_500 + EICAR))
    assert not await Clamd(double.address).infected(chunks(b" " * 2_500))


@pytest.mark.parametrize(
    "answer", [b"", b"PONG\0", b"stream: OKAY\0", b"OK\0", b"UNKNOWN COMMAND\0"]
)
async def test_only_its_own_word_is_a_verdict(double: Double, answer: bytes) -> None:
    double.answer = answer
    with pytest.raises(ScannerDownError):
        await Clamd(double.address).infected(chunks(b"x"))


async def test_an_error_of_the_daemon_is_no_verdict(double: Double) -> None:
    double.answer = b"stream: Can't allocate memory ERROR\0"
    with pytest.raises(UnscannableError):
        await Clamd(double.address).infected(chunks(b"x"))


async def test_one_that_is_away(folder: Path) -> None:
    for address in (Double().address, str(folder / "none.sock")):
        with pytest.raises(ScannerDownError):
            await Clamd(address).infected(chunks(b"x"))


async def test_one_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ScannerDownError):
            await Clamd(f"127.0.0.1:{port}", verdict=0.05).infected(chunks(b"x"))
