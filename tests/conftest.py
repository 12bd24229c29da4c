"""What every test may ask for: a real PostgreSQL, a migrated database, the server, a token.

One PostgreSQL serves the whole run, whichever process of it comes first: the embedded one, or
`FHIR_SERVER_TEST_DATABASE_URL`. A database is a copy of one migrated template.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.loader import load_definitions
from fhir_server.definitions.model import Definitions
from fhir_server.store import embedded
from fhir_server.store.migrations import migrate
from tests.support.shared import Shared

# Long runs are `make fuzz`; a slow machine is no failure.
settings.register_profile("default", deadline=None, print_blob=True)
settings.register_profile("fuzz", parent=settings.get_profile("default"), max_examples=5000)
settings.load_profile("default")

# A test's database need not survive a power cut.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

NewDatabase = Callable[[], str]


@pytest.fixture(scope="session")
def shared(testrun_uid: str) -> Iterator[Shared]:
    """The folder and lock that the processes of this test run share."""
    folder = Path(tempfile.gettempdir()) / f"fhir-server-tests-{testrun_uid}"
    folder.mkdir(exist_ok=True)
    with Shared(folder) as shared:
        yield shared
    if shared.was_last:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(shared: Shared) -> Iterator[str]:
    """A PostgreSQL on which the tests may create databases."""
    external = os.environ.get("FHIR_SERVER_TEST_DATABASE_URL")
    if external:
        yield external
    else:
        with embedded.running(shared.folder, parameters=FAST) as url:
            yield url


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    """What the project's own folders declare."""
    return load_definitions(declared_root(), load_facts())


@pytest.fixture(scope="session")
def template(
    postgres_url: str, shared: Shared, testrun_uid: str, definitions: Definitions
) -> Iterator[str]:
    """The name of the migrated, empty database that all others are copies of."""
    name = f"fhir_test_{testrun_uid}"
    with shared.alone():
        if not _exists(postgres_url, name):
            _administer(postgres_url, "CREATE DATABASE {}", name)
            migrate(database_of(postgres_url, name), definitions)
    yield name
    if shared.is_last():
        _administer(postgres_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture(scope="session")
def new_database(postgres_url: str, template: str) -> Iterator[NewDatabase]:
    """Makes a fresh migrated database and gives its URL; dropped when the run ends."""
    made: list[str] = []

    def make() -> str:
        made.append(f"{template}_{uuid4().hex[:12]}")
        create = "CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log"
        _administer(postgres_url, create, made[-1], template)
        return database_of(postgres_url, made[-1])

    yield make
    for name in made:
        _administer(postgres_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture(scope="module")
def database_url(new_database: NewDatabase) -> str:
    """A fresh database for the tests of one file; tests keep apart by tenant."""
    return new_database()


@pytest.fixture
def tenant() -> str:
    """A tenant no other test uses."""
    return f"t-{uuid4().hex[:12]}"


def database_of(url: str, name: str) -> str:
    """The same PostgreSQL, another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _exists(url: str, name: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        return found.fetchone() is not None


def _administer(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
