"""What a download is: safe in a browser, whole or in part; over HTTP."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fhir_server.settings import Settings
from tests.support.clamd import Double
from tests.v1.attachments import PDF, clean, fetch
from tests.v1.conftest import BASE, Caller, refused

LIMIT = 3_000_000


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, folder: Path, double: Double) -> Settings:
    return Settings(
        environment="test", database_url=database_url, data_dir=folder, clamd=double.address
    )


@pytest.fixture
def files(folder: Path) -> Path:
    return folder / "files"


@pytest.fixture
def thread(amina: Caller) -> str:
    return amina.open_thread("usr_farid")


def _names(files: Path) -> list[str]:
    return [path.name for path in files.rglob("*") if path.is_file()]


def test_a_download_is_safe_in_a_browser(amina: Caller, thread: str) -> None:
    headers = fetch(amina, clean(amina, thread)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, no-store"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["content-type"] == "application/pdf"
    assert headers["content-length"] == str(len(PDF))
    assert headers["etag"] == f'"{hashlib.sha256(PDF).hexdigest()}"'
    name = headers["content-disposition"]
    assert name == "attachment; filename=\"heart.pdf\"; filename*=UTF-8''heart.pdf"


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=5-9", slice(5, 10)),
        ("bytes=10-", slice(10, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=0-999999", slice(0, None)),
        ("bytes=-999999", slice(0, None)),
    ],
)
def test_a_part_of_it(amina: Caller, thread: str, asked: str, part: slice) -> None:
    attachment = clean(amina, thread)
    answer = fetch(amina, attachment, Range=asked)
    start, stop, _ = part.indices(len(PDF))
    assert answer.status_code == 206
    assert answer.content == PDF[part]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(PDF)}"
    other = fetch(amina, attachment, Range=asked, If_Range='"another"')
    assert (other.status_code, other.content) == (200, PDF)
    same = fetch(amina, attachment, Range=asked, If_Range=answer.headers["etag"])
    assert same.status_code == 206


def test_ranges_that_mean_nothing(amina: Caller, thread: str) -> None:
    attachment = clean(amina, thread)
    for asked in ("bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=9-2"):
        answer = fetch(amina, attachment, Range=asked)
        assert (answer.status_code, answer.content) == (200, PDF), asked
    for asked in (f"bytes={len(PDF)}-", "bytes=-0", "bytes=99999999-"):
        answer = fetch(amina, attachment, Range=asked)
        assert refused(answer) == (416, "VALIDATION_ERROR"), asked
        assert answer.headers["content-range"] == f"bytes */{len(PDF)}"


def test_head_says_what_get_would(amina: Caller, thread: str) -> None:
    address = f"{BASE}/attachments/{clean(amina, thread)}/content"
    head, get = amina.client.head(address), amina.client.get(address)
    assert (head.status_code, head.content) == (200, b"")
    part = amina.client.head(address, headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.headers["content-length"]) == (200, str(len(PDF)))
    counted = ("date", "x-ratelimit-remaining", "x-ratelimit-reset")
    again = {name: head.headers[name] for name in counted}
    assert dict(head.headers) == {**get.headers, **again}


def test_a_large_one_passes_through(amina: Caller, thread: str) -> None:
    content = b"%PDF-1.7\n" + bytes(range(256)) * (LIMIT // 256 - 1)
    attachment = clean(amina, thread, content)
    assert fetch(amina, attachment).content == content
    assert fetch(amina, attachment, Range="bytes=2000000-2000009").content == content[2000000:][:10]


def test_what_the_store_lost_is_not_found(amina: Caller, thread: str, files: Path) -> None:
    before = set(_names(files))
    attachment = clean(amina, thread)
    (name,) = set(_names(files)) - before
    next(files.rglob(name)).unlink()
    assert refused(fetch(amina, attachment)) == (404, "NOT_FOUND")


def test_an_old_prefix_gives_the_same(amina: Caller, thread: str) -> None:
    attachment = clean(amina, thread)
    answer = amina.client.get(f"/v1/messaging/attachments/{attachment}/content")
    assert answer.content == PDF
    assert answer.headers["deprecation"].startswith("@")
    assert answer.headers["x-content-type-options"] == "nosniff"
