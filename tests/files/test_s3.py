"""The file store in a bucket, on a real S3 API server (moto's)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest

from fhir_server.files import LostFileError, build_files
from fhir_server.files.s3 import S3Files
from fhir_server.problems import Problem
from tests.files.test_local import CONTENT, pieces, whole
from tests.support.s3 import KEYS, serving

BUCKET = "files"
# More than one part: each has 5 MB at least.
LARGE = bytes(range(256)) * 50_000


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    with serving() as address:
        client = boto3.client("s3", endpoint_url=address, **KEYS)
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def files(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> S3Files:
    return at(bucket.meta.endpoint_url, monkeypatch)


def at(address: str, monkeypatch: pytest.MonkeyPatch) -> S3Files:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    for name, value in KEYS.items():
        monkeypatch.setenv(name.upper().replace("REGION_NAME", "AWS_REGION"), value)
    built = build_files(f"s3://{BUCKET}/wards/north")
    assert isinstance(built, S3Files)
    return built


def objects(bucket: Any) -> list[str]:
    found = bucket.list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return [one["Key"] for one in found]


@pytest.mark.parametrize("content", [b"x", CONTENT, LARGE], ids=len)
async def test_what_was_written_is_read(files: S3Files, bucket: Any, content: bytes) -> None:
    name = await files.write("t", pieces(content))
    assert await whole(files, "t", name) == content
    for start, stop in ((0, 1), (0, len(content)), (len(content) // 2, len(content))):
        assert await whole(files, "t", name, start, stop) == content[start:stop]
    (key,) = [key for key in objects(bucket) if key.endswith(name)]
    assert key.startswith("wards/north/")


async def test_tenants_lie_apart(files: S3Files) -> None:
    name = await files.write("../one", pieces(b"theirs"))
    with pytest.raises(LostFileError):
        await whole(files, "another", name)


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=len)
async def test_what_breaks_off_is_not_kept(files: S3Files, bucket: Any, content: bytes) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for piece in pieces(content):
            yield piece
        raise Problem(422, "processing", "not what was announced")

    before = objects(bucket)
    with pytest.raises(Problem, match="not what was announced"):
        await files.write("t", broken())
    assert objects(bucket) == before


async def test_it_can_be_removed_twice(files: S3Files) -> None:
    name = await files.write("t", pieces(CONTENT))
    await files.remove("t", name)
    await files.remove("t", name)
    with pytest.raises(LostFileError):
        await whole(files, "t", name)


@pytest.mark.parametrize("name", ["", "..", "../x", "ab" * 31, "zz" * 32])
async def test_only_its_own_names_lead_anywhere(files: S3Files, name: str) -> None:
    with pytest.raises(LostFileError):
        await whole(files, "t", name)


async def test_a_client_may_put_a_draft_by_itself(files: S3Files) -> None:
    assert await files.length("t", "upload 1") == 0
    link = await files.link("t", "upload 1", timedelta(minutes=1)) or ""
    answer = await asyncio.to_thread(httpx.put, link, content=CONTENT)
    assert answer.status_code == 200, answer.text
    assert await files.length("t", "upload 1") == len(CONTENT)
    assert b"".join([chunk async for chunk in files.read_draft("t", "upload 1")]) == CONTENT
    await files.remove_draft("t", "upload 1")
    assert await files.length("t", "upload 1") == 0


async def test_a_sweep_takes_what_was_begun_long_ago(files: S3Files) -> None:
    name = await files.write("t", pieces(CONTENT))
    link = await files.link("t", "upload 3", timedelta(minutes=1)) or ""
    await asyncio.to_thread(httpx.put, link, content=CONTENT)
    now = datetime.now(UTC)
    assert await files.sweep("t", now - timedelta(hours=1)) == 0
    assert await files.sweep("t", now + timedelta(hours=1)) == 1
    assert await files.length("t", "upload 3") == 0
    assert await whole(files, "t", name) == CONTENT


async def test_it_takes_no_parts(files: S3Files) -> None:
    with pytest.raises(Problem) as refused:
        await files.append("t", "upload 2", 0, pieces(b"half"))
    assert refused.value.status == 405


async def test_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    away = at("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(Problem) as refused:
        await away.write("t", pieces(b"x"))
    assert refused.value.status == 503
