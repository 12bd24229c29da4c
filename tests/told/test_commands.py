"""What commands print of what they were given, or of a row that the database refuses."""

from __future__ import annotations

import asyncio
import io

import psycopg
import pytest

from fhir_server.cli import main
from tests.told.places import WORD
from tests.workers.test_incoming import registered

BUG = """
    CREATE FUNCTION bug() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'refused %', NEW; END $$;
    CREATE TRIGGER bug BEFORE INSERT ON patient FOR EACH ROW EXECUTE FUNCTION bug();
"""


async def publish(monkeypatch: pytest.MonkeyPatch, body: bytes) -> int:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    return await asyncio.to_thread(main, ["events", "publish"])


async def test_a_refused_event_is_not_quoted(
    database_url: str,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", database_url)
    for body in (
        registered(tenant, gender=WORD),
        registered(tenant, birthDate=WORD),
        registered(tenant, familyName={WORD: WORD}),
        registered(f"{WORD} x"),
        WORD.encode(),
    ):
        assert await publish(monkeypatch, body) == 1
    printed = capsys.readouterr()
    assert printed.err.count("fhir-server: ") == 5
    assert WORD not in printed.out + printed.err


async def test_a_row_that_the_database_refuses_is_not_quoted(
    database_url: str,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(BUG)
        assert await publish(monkeypatch, registered(tenant, familyName=WORD)) == 1
        connection.execute("DROP TRIGGER bug ON patient; DROP FUNCTION bug()")
    printed = capsys.readouterr()
    assert printed.err == "fhir-server: the database refused: RaiseException (P0001)\n"
