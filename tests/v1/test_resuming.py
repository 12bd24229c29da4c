"""Uploads that come in parts, and those that a client takes to S3 by itself; over HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from fhir_server.settings import Settings
from tests.support.clamd import EICAR, Double
from tests.support.s3 import KEYS, serving
from tests.support.server import listening
from tests.v1.attachments import PDF, announced, digest, fetch, kept, put, send, settled, state
from tests.v1.conftest import BASE, Caller, Ward, refused

BUCKET = "attachments"
THIRD = len(PDF) // 3


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    with serving() as address:
        client = boto3.client("s3", endpoint_url=address, **KEYS)
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture(scope="module", params=["folder", "s3"])
def server_url(
    request: pytest.FixtureRequest,
    database_url: str,
    folder: Path,
    double: Double,
    bucket: Any,
) -> Iterator[str]:
    files = str(folder / "files") if request.param == "folder" else f"s3://{BUCKET}/wards"
    settings = Settings(
        environment="test",
        database_url=database_url,
        data_dir=folder / "data",
        files=files,
        clamd=double.address,
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", bucket.meta.endpoint_url)
        environment.setenv("AWS_ACCESS_KEY_ID", KEYS["aws_access_key_id"])
        environment.setenv("AWS_SECRET_ACCESS_KEY", KEYS["aws_secret_access_key"])
        environment.setenv("AWS_REGION", KEYS["region_name"])
        with listening(settings) as address:
            yield address


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, folder: Path) -> Settings:
    return Settings(environment="test", database_url=database_url, data_dir=folder / "data")


on_folder = pytest.mark.parametrize("server_url", ["folder"], indirect=True)
on_s3 = pytest.mark.parametrize("server_url", ["s3"], indirect=True)


@pytest.fixture
def thread(amina: Caller) -> str:
    return amina.open_thread("usr_farid")


def append(
    who: Caller, attachment: str, content: Any, at: int | str, **headers: str
) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    address = f"{BASE}/attachments/{attachment}/content"
    sent = {"Upload-Offset": str(at), **given}
    return who.client.patch(address, content=content, headers=sent)


def progress(who: Caller, attachment: str) -> dict[str, Any]:
    answer = who.get(f"/attachments/{attachment}/upload")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_whole_upload_on_either_store(ward: Ward, amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)
    assert put(amina, attachment).status_code == 200
    assert settled(amina, attachment) == "clean"
    assert send(amina, thread, attachment).status_code == 201
    farid = ward.doctor("farid")
    assert fetch(farid, attachment).content == PDF
    assert fetch(farid, attachment, Range="bytes=5-9").content == PDF[5:10]
    infected = announced(amina, thread, PDF + EICAR)
    assert put(amina, infected, PDF + EICAR).status_code == 200
    assert settled(amina, infected) == "infected"
    bad = announced(amina, thread, sha256=hashlib.sha256(b"x").hexdigest())
    assert refused(put(amina, bad)) == (422, "ATTACHMENT_REJECTED")


@on_folder
def test_it_comes_in_parts(amina: Caller, thread: str, folder: Path) -> None:
    attachment = announced(amina, thread, sha256=hashlib.sha256(PDF).hexdigest())
    assert progress(amina, attachment)["offset"] == 0
    for at in (0, THIRD):
        answer = append(amina, attachment, PDF[at : at + THIRD], at)
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] == "initiated"
        assert answer.headers["upload-offset"] == str(at + THIRD)
        assert progress(amina, attachment)["offset"] == at + THIRD
    answer = append(amina, attachment, PDF[2 * THIRD :], 2 * THIRD, Repr_Digest=digest(PDF))
    assert (answer.status_code, answer.json()["state"]) == (200, "quarantined")
    assert settled(amina, attachment) == "clean"
    assert fetch(amina, attachment).content == PDF
    assert PDF[:THIRD] not in kept(folder / "files")
    late = append(amina, attachment, b"x", len(PDF))
    assert refused(late) == (409, "INVALID_STATE_TRANSITION")


@on_folder
def test_it_goes_on_where_it_ends(amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)
    assert append(amina, attachment, PDF[:100], 0).status_code == 200
    for at in (0, 99, 101, 10**6):
        answer = append(amina, attachment, PDF[at:], at)
        if at == 10**6:
            assert answer.status_code in (409, 413)
        else:
            assert refused(answer) == (409, "CONFLICT")
            assert answer.headers["upload-offset"] == "100"
    for wrong in ("", "x", "-1", "1.5"):
        assert refused(append(amina, attachment, b"x", wrong)) == (400, "VALIDATION_ERROR")
    assert progress(amina, attachment)["offset"] == 100
    assert append(amina, attachment, PDF[100:], 100).json()["state"] == "quarantined"


@on_folder
def test_more_than_was_announced_is_not_taken(amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)
    assert append(amina, attachment, PDF[:100], 0).status_code == 200
    answer = append(amina, attachment, PDF[100:] + b"x", 100)
    assert refused(answer) == (413, "VALIDATION_ERROR")
    at = progress(amina, attachment)["offset"]
    assert append(amina, attachment, PDF[at:], at).json()["state"] == "quarantined"


@on_folder
def test_what_is_wrong_as_a_whole_begins_anew(amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)
    other = b"x" * 700
    assert append(amina, attachment, other, 0).status_code == 200
    answer = append(amina, attachment, PDF[700:], 700)
    assert refused(answer) == (422, "ATTACHMENT_REJECTED")
    assert progress(amina, attachment)["offset"] == 0
    assert append(amina, attachment, PDF, 0).json()["state"] == "quarantined"
    assert (
        refused(append(amina, announced(amina, thread), PDF, 0, Content_Type="image/png"))[0] == 415
    )


@on_folder
def test_of_two_parts_at_once_one_is_taken(amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)

    def part(word: bytes) -> httpx.Response:
        return append(amina, attachment, PDF.replace(b"heart", word)[:900], 0)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(part, [b"liver", b"brain", b"spine", b"elbow"]))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert progress(amina, attachment)["offset"] == 900


@on_folder
def test_nobody_else_goes_on_with_it(ward: Ward, amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)
    farid = ward.doctor("farid")
    assert refused(append(farid, attachment, PDF, 0)) == (403, "FORBIDDEN")
    assert refused(farid.get(f"/attachments/{attachment}/upload")) == (403, "FORBIDDEN")


@on_s3
def test_a_client_takes_it_to_s3_by_itself(amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)
    told = progress(amina, attachment)
    assert (told["offset"], "expiresAt" in told) == (0, True)
    assert httpx.put(told["uploadUrl"], content=PDF).status_code == 200
    assert progress(amina, attachment)["offset"] == len(PDF)
    assert state(amina, attachment) == "initiated"
    assert append(amina, attachment, b"", len(PDF)).json()["state"] == "quarantined"
    # The link still works, and changes nothing of what was taken in.
    assert httpx.put(told["uploadUrl"], content=PDF + EICAR).status_code == 200
    assert settled(amina, attachment) == "clean"
    assert fetch(amina, attachment).content == PDF


@on_s3
@pytest.mark.parametrize(
    ("content", "status"),
    [(b"x" * len(PDF), 422), (PDF + b"x", 413), (PDF[:-1], 200)],
    ids=["another", "longer", "shorter"],
)
def test_what_a_client_took_there_is_checked_as_well(
    amina: Caller, thread: str, content: bytes, status: int
) -> None:
    attachment = announced(amina, thread)
    assert httpx.put(progress(amina, attachment)["uploadUrl"], content=content).status_code == 200
    answer = append(amina, attachment, b"", len(PDF))
    assert answer.status_code == status
    assert state(amina, attachment) == "initiated"
    if status != 200:
        assert progress(amina, attachment)["offset"] == 0


@on_s3
def test_s3_takes_no_parts(amina: Caller, thread: str) -> None:
    attachment = announced(amina, thread)
    assert refused(append(amina, attachment, PDF[:9], 0))[0] == 405


@on_folder
def test_of_several_ends_at_once_one_is_taken_at_most(amina: Caller, thread: str) -> None:
    for _ in range(5):
        attachment = announced(amina, thread)
        # As after an answer that was lost: everything is here, and the end is told again.
        assert append(amina, attachment, PDF[:-1], 0).status_code == 200
        with ThreadPoolExecutor(4) as pool:
            told = [(PDF[-1:], len(PDF) - 1), *[(b"", len(PDF))] * 3]
            answers = list(pool.map(lambda part, it=attachment: append(amina, it, *part), told))
        assert {answer.status_code for answer in answers} <= {200, 409}
        taken = [answer.status_code for answer in answers].count(200)
        assert taken <= 1
        if not taken:
            # Each was in the other's way.
            at = progress(amina, attachment)["offset"]
            assert append(amina, attachment, PDF[at:], at).status_code == 200
        assert settled(amina, attachment) == "clean"
        assert fetch(amina, attachment).content == PDF
