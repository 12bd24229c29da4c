"""A small world on a real server, and the proof after each test that it is as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import psycopg
import pytest

from fhir_server.http.auth import mint
from fhir_server.settings import Settings
from tests.bad_input.faces import quiet
from tests.bad_input.world import EVERY_SCOPE, Tables, World
from tests.conftest import UNHINDERED, NewDatabase
from tests.support.server import listening
from tests.support.shared import Shared

BODY_LIMIT = 64 * 1024


@pytest.fixture(scope="session")
def limited(new_database: NewDatabase, shared: Shared) -> Settings:
    """Settings with a small body limit, so that going over it costs little."""
    folder = shared.folder / "bad-input"
    return Settings(
        environment="test",
        database_url=new_database(),
        data_dir=folder,
        body_limit=BODY_LIMIT,
        rate_limit_scale=UNHINDERED,
    )


@pytest.fixture(scope="package")
def world(limited: Settings) -> Iterator[World]:
    """The server with two tenants, a conversation, and tokens."""

    def token(tenant: str, sub: str, role: str, scope: str = EVERY_SCOPE) -> str:
        licensed = ["engage.messaging"]
        return mint(limited, tenant=tenant, sub=sub, roles=[role], scope=scope, modules=licensed)

    with listening(limited) as address, ExitStack() as opened:
        client = opened.enter_context(httpx.Client(base_url=address, timeout=30))
        yield World.found(client, address, limited, token)


@pytest.fixture(scope="session")
def tables(limited: Settings) -> Iterator[Tables]:
    """The database behind the server's back."""
    with psycopg.connect(limited.database_url or "", autocommit=True) as connection:
        yield Tables(connection)


@pytest.fixture
def unchanged(tables: Tables) -> Iterator[None]:
    """Whatever a test sends, every table holds as many rows after it as before."""
    before = tables.counts()
    yield
    assert tables.counts() == before


@pytest.fixture(autouse=True)
def quiet_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No error reaches a log, nor any word of a patient."""
    # uvicorn's loggers do not propagate.
    logger = logging.getLogger("uvicorn")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)
    quiet(caplog.records)
