"""What an upload meets on its way: each bad one is a 4xx in the envelope, and nothing is kept."""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from fhir_server.communication import Limits
from fhir_server.files.kinds import KINDS
from fhir_server.settings import Settings
from tests.support.clamd import Double
from tests.v1.attachments import (
    PDF,
    announce,
    announced,
    clean,
    digest,
    fetch,
    kept,
    put,
    settled,
    state,
    uploaded,
)
from tests.v1.conftest import BASE, Caller, Ward, refused

LIMIT = 3_000_000
PNG = b"\x89PNG\r\n\x1a\n" + bytes(1_000)
EXE = b"MZ\x90\x00" + bytes(2_000)
HTML = b"<!DOCTYPE html><script>alert(1)</script>"


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, folder: Path, double: Double) -> Settings:
    return Settings(
        environment="test",
        database_url=database_url,
        data_dir=folder / "data",
        attachment_limit=LIMIT,
        clamd=double.address,
    )


@pytest.fixture
def files(folder: Path) -> Path:
    return folder / "data" / "files"


@pytest.fixture
def thread(amina: Caller) -> str:
    return amina.open_thread("usr_farid")


# Announcing


@pytest.mark.parametrize(
    "more",
    [
        {"size": 0},
        {"size": -1},
        {"size": LIMIT + 1},
        {"size": 2**40},
        {"size": "12"},
        {"size": 1.5},
        {"contentType": "text/html"},
        {"contentType": "image/svg+xml"},
        {"contentType": "application/x-msdownload"},
        {"contentType": "application/pdf; x=y"},
        {"contentType": ""},
        {"fileName": ""},
        {"fileName": "../../etc/passwd.pdf"},
        {"fileName": "..\\windows\\a.pdf"},
        {"fileName": "/etc/a.pdf"},
        {"fileName": "C:a.pdf"},
        {"fileName": "a\x07.pdf"},
        {"fileName": "a\r\nSet-Cookie: x.pdf"},
        {"fileName": ".pdf"},
        {"fileName": "a.pdf."},
        {"fileName": " a.pdf"},
        {"fileName": "fdp.\u202eexe.pdf"},
        {"fileName": "a" * 252 + ".pdf"},
        {"fileName": "heart.exe"},
        {"fileName": "heart.pdf.exe"},
        {"fileName": "heart.png"},
        {"fileName": "heart"},
        {"sha256": "abc"},
        {"sha256": "AB" * 32},
        {"sha256": "zz" * 32},
        {"state": "clean"},
        {"file": "ab" * 32},
    ],
    ids=str,
)
def test_a_bad_announcement(amina: Caller, thread: str, more: dict[str, Any]) -> None:
    answer = announce(amina, thread, **more)
    assert refused(answer) == (400, "VALIDATION_ERROR"), answer.text
    named = [field["field"] for field in answer.json()["error"]["details"]["fields"]]
    assert named == list(more)


def test_names_of_this_world(amina: Caller, thread: str) -> None:
    for name in ("قلب.pdf", "نسخه\u200cی نهایی.PDF", "Herz (1).pdf", 'a"b.pdf', "100%.pdf"):
        attachment = clean(amina, thread, fileName=name)
        answer = fetch(amina, attachment)
        assert answer.headers["content-disposition"].startswith('attachment; filename="')
        assert _decoded(answer) == name


def _extended(answer: httpx.Response) -> str:
    return answer.headers["content-disposition"].partition("filename*=UTF-8''")[2]


def _decoded(answer: httpx.Response) -> str:
    return unquote(_extended(answer), errors="strict")


# Uploading


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", (400, "VALIDATION_ERROR")),
        (PDF[:-1], (400, "VALIDATION_ERROR")),
        (PDF + b"x", (413, "VALIDATION_ERROR")),
        (b"x" * len(PDF), (422, "ATTACHMENT_REJECTED")),
        (EXE[: len(PDF)].ljust(len(PDF)), (422, "ATTACHMENT_REJECTED")),
        (HTML.ljust(len(PDF)), (422, "ATTACHMENT_REJECTED")),
    ],
    ids=["empty", "shorter", "longer", "nothing", "program", "page"],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_bad_content(
    amina: Caller,
    thread: str,
    files: Path,
    content: bytes,
    expected: tuple[int, str],
    chunked: bool,  # noqa: FBT001
) -> None:
    attachment, before = announced(amina, thread), kept(files)
    answer = put(amina, attachment, _pieces(content) if chunked else content)
    assert refused(answer) == expected
    assert state(amina, attachment) == "initiated"
    assert kept(files) == before
    # It may be tried again.
    assert put(amina, attachment, _pieces(PDF) if chunked else PDF).status_code == 200


def _pieces(content: bytes) -> Iterator[bytes]:
    for at in range(0, len(content), 100):
        yield content[at : at + 100]


def test_another_digest_than_announced(amina: Caller, thread: str, files: Path) -> None:
    before = kept(files)
    attachment = announced(amina, thread, sha256=hashlib.sha256(b"other").hexdigest())
    assert refused(put(amina, attachment)) == (422, "ATTACHMENT_REJECTED")
    assert state(amina, attachment) == "initiated"
    assert kept(files) == before


@pytest.mark.parametrize("header", ["Repr_Digest", "Content_Digest"])
def test_another_digest_than_the_header_says(amina: Caller, thread: str, header: str) -> None:
    attachment = announced(amina, thread, sha256=hashlib.sha256(PDF).hexdigest())
    wrong = put(amina, attachment, PDF, **{header: digest(b"other")})
    assert refused(wrong) == (422, "ATTACHMENT_REJECTED")
    malformed = put(amina, attachment, PDF, **{header: "sha-256=abc"})
    assert refused(malformed) == (400, "VALIDATION_ERROR")
    assert put(amina, attachment, PDF, **{header: digest(PDF)}).status_code == 200


def test_the_header_names_another_type(amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)
    assert refused(put(amina, attachment, PDF, Content_Type="image/png"))[0] == 415
    assert put(amina, attachment, PDF, Content_Type="application/pdf").status_code == 200


def test_the_length_is_missing(server_url: str, amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)
    address = urlsplit(server_url)
    token = amina.client.headers["authorization"]
    request = (
        f"PUT {BASE}/attachments/{attachment}/content HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: {token}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0)) as wire:
        wire.sendall(request.encode())
        answer = b"".join(iter(lambda: wire.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert b'"VALIDATION_ERROR"' in answer
    assert state(amina, attachment) == "initiated"


def test_a_connection_that_breaks_leaves_nothing(
    server_url: str, amina: Caller, thread: str, files: Path
) -> None:
    attachment, before = announced(amina, thread), kept(files)
    address = urlsplit(server_url)
    request = (
        f"PUT {BASE}/attachments/{attachment}/content HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: {amina.client.headers['authorization']}\r\n"
        f"Content-Length: {len(PDF)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0)) as wire:
        wire.sendall(request.encode() + PDF[:700])
        _wait(lambda: kept(files) != before)
    _wait(lambda: kept(files) == before)
    assert put(amina, attachment).status_code == 200


def _wait(met: Any) -> None:
    """Until the server has come so far."""
    for _ in range(1_000):
        if met():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it did not come so far")


def test_once_uploaded_it_stays_as_it_is(amina: Caller, thread: str, files: Path) -> None:
    attachment = uploaded(amina, thread)
    before = kept(files)
    other = PDF.replace(b"heart", b"liver")
    assert refused(put(amina, attachment, other)) == (409, "INVALID_STATE_TRANSITION")
    assert settled(amina, attachment) == "clean"
    assert refused(put(amina, attachment, other)) == (409, "INVALID_STATE_TRANSITION")
    assert kept(files) == before
    assert fetch(amina, attachment).content == PDF


def test_of_two_uploads_at_once_one_wins(amina: Caller, thread: str, files: Path) -> None:
    for _ in range(5):
        attachment, before = announced(amina, thread), len(_names(files))
        versions = [PDF.replace(b"heart", word) for word in (b"liver", b"brain", b"spine")]
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(partial(put, amina, attachment), versions))
        won = [n for n, answer in enumerate(answers) if answer.status_code == 200]
        lost = [refused(answer) for answer in answers if answer.status_code != 200]
        assert len(won) == 1
        assert set(lost) == {(409, "INVALID_STATE_TRANSITION")}
        assert settled(amina, attachment) == "clean"
        assert fetch(amina, attachment).content == versions[won[0]]
        assert len(_names(files)) == before + 1


def _names(files: Path) -> list[str]:
    return [path.name for path in files.rglob("*") if path.is_file()]


def test_who_may_upload(ward: Ward, amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)
    assert refused(put(ward.doctor("farid"), attachment)) == (403, "FORBIDDEN")
    assert refused(put(ward.patient("zahra"), attachment)) == (403, "FORBIDDEN")
    assert refused(put(amina, "att_none")) == (404, "NOT_FOUND")
    assert refused(put(amina, thread.replace("thr_", "att_"))) == (404, "NOT_FOUND")
    assert refused(put(amina, "att_..%2f..%2fx"))[0] in (400, 404)
    reader = ward.doctor("amina", scope="messaging:read")
    assert refused(put(reader, attachment)) == (403, "FORBIDDEN")
    assert amina.client.put(f"{BASE}/attachments/{attachment}/content?x=1").status_code == 400


def test_a_file_is_named_by_chance_and_lies_with_its_tenant(
    amina: Caller, thread: str, files: Path, ward: Ward
) -> None:
    before = set(_names(files))
    uploaded(amina, thread)
    (name,) = set(_names(files)) - before
    assert len(name) == 64
    (path,) = files.rglob(name)
    tenant = hashlib.sha256(ward.tenant.encode()).hexdigest()
    assert path.parent.parent == files / tenant
    assert path.stat().st_mode & 0o077 == 0


def test_every_kind_with_a_beginning_of_its_own(amina: Caller, thread: str) -> None:
    for type_, begins in BEGINNINGS.items():
        content, name = begins.ljust(600, b" "), "x" + KINDS[type_].suffixes[0]
        attachment = clean(amina, thread, content, contentType=type_, fileName=name)
        answer = fetch(amina, attachment)
        assert answer.content == content
        assert answer.headers["content-type"] == type_
    assert set(BEGINNINGS) == set(KINDS) == set(Limits().types)


BEGINNINGS = {
    "application/dicom": bytes(128) + b"DICM",
    "application/pdf": b"%PDF-2.0",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": b"PK\x03\x04",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": b"PK\x03\x04",
    "audio/mp4": b"\0\0\0\x20ftypM4A ",
    "audio/mpeg": b"ID3\x04",
    "image/gif": b"GIF89a",
    "image/heic": b"\0\0\0\x18ftypheic",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/png": PNG[:8],
    "image/tiff": b"II*\0",
    "image/webp": b"RIFF\x24\0\0\0WEBP",
    "text/plain": "نبض 72 در دقیقه".encode(),
    "video/mp4": b"\0\0\0\x20ftypisom",
}


def test_no_name_of_a_file_is_told(
    ward: Ward, amina: Caller, thread: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="fhir_server"):
        attachment = clean(amina, thread, fileName="zahra-hiv.pdf")
        refused(announce(amina, thread, fileName="zahra-hiv.exe"))
        refused(put(amina, attachment))
    assert "hiv" not in caplog.text
    assert "hiv" not in str(ward.events())
    assert "hiv" not in announce(amina, thread, fileName="zahra-hiv.exe").text
