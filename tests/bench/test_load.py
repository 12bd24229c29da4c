import re
from typing import Any

import httpx
import orjson
import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from bench.corpus import CLINICIANS, TENANT, Corpus, Resource
from bench.load import Rows, load
from fhir_server.definitions.model import Definitions
from tests.conftest import Login

CORPUS = Corpus(100)
SERVERS_OWN = ("sender", "recipient", "subject", "priority", "meta", "id")
UPDATED = re.compile('"lastUpdated":"[^"]*"')
Row = dict[str, Any]


@pytest.fixture(scope="module")
def loaded(database_url: str, definitions: Definitions) -> str:
    """The database, with the corpus in it."""
    load(database_url, definitions, CORPUS)
    return database_url


@pytest.fixture
def sender(login: Login) -> httpx.Client:
    """The clinician who wrote what the tests write again."""
    return login(TENANT, "usr_c000", "DOCTOR")


def _row(url: str, table: str, id: str) -> Row:
    """A row, but for what no two resources share."""
    query = sql.SQL("SELECT *, body::text AS body FROM {} WHERE tenant = %s AND id = %s")
    with psycopg.connect(url, row_factory=dict_row) as connection:
        found = connection.execute(query.format(sql.Identifier(table)), [TENANT, id]).fetchone()
    assert found is not None
    body = UPDATED.sub('"lastUpdated":""', found["body"].replace(id, "ID"))
    own, *keys = found["keys"]
    assert own
    return {**found, "id": "ID", "updated": None, "body": body, "keys": keys}


def _posted(sender: httpx.Client, resource: Resource) -> str:
    answer = sender.post(
        "/fhir/R4/Communication",
        content=orjson.dumps(resource),
        headers={"content-type": "application/fhir+json"},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_loaded_message_is_the_row_that_http_writes(sender: httpx.Client, loaded: str) -> None:
    n = next(
        n
        for n in range(CORPUS.threads, CORPUS.size)
        if CORPUS.communication(n)["sender"]["reference"] == "Practitioner/c000"
    )
    message = CORPUS.communication(n)
    id = _posted(sender, {k: v for k, v in message.items() if k not in SERVERS_OWN})
    assert _row(loaded, "communication", id) == _row(loaded, "communication", message["id"])


def test_a_loaded_thread_is_the_row_that_http_writes(sender: httpx.Client, loaded: str) -> None:
    thread = CORPUS.thread(0)
    id = _posted(sender, {k: v for k, v in thread.items() if k not in {"sender", "meta", "id"}})
    assert _row(loaded, "communication", id) == _row(loaded, "communication", thread["id"])


def test_everything_is_loaded(loaded: str, definitions: Definitions) -> None:
    rows = Rows(definitions)
    wanted = {"Patient": 1, "Practitioner": CLINICIANS}
    with psycopg.connect(loaded) as connection:
        for resource_type, count in wanted.items():
            current, _ = rows.tables(resource_type)
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(current))
            assert connection.execute(query).fetchone() == (count,)
