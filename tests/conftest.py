"""What every test may ask for: a real PostgreSQL, a migrated database, the server, a token.

One PostgreSQL serves the whole run, whichever process of it comes first: the embedded one, or
`FHIR_SERVER_TEST_DATABASE_URL`. A database is a copy of one migrated template.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from fhir_server.app import Core, build_core
from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.loader import load_definitions
from fhir_server.definitions.model import Definitions
from fhir_server.http.auth import mint
from fhir_server.settings import Settings
from fhir_server.store import embedded
from fhir_server.store.migrations import migrate
from tests.support.clinic import Clinic
from tests.support.effort import effort
from tests.support.server import listening
from tests.support.shared import Shared

# A slow machine is no failure.
settings.register_profile("ours", deadline=None, print_blob=True, max_examples=effort(100))
settings.load_profile("ours")

# A test's database need not survive a power cut.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
}

EVERY_SCOPE = "messaging:read messaging:write messaging:escalate user/*.cruds system/*.cruds"
MODULES = ("engage.messaging",)
# Times the declared rate limits: only their own tests are to meet them.
UNHINDERED = 1e6

NewDatabase = Callable[[], str]
Token = Callable[..., str]
Login = Callable[..., httpx.Client]
NewClinic = Callable[[], Clinic]


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
def postgres_url(shared: Shared, testrun_uid: str) -> Iterator[str]:
    """A PostgreSQL on which the tests may create databases; they go when the run ends."""
    external = os.environ.get("FHIR_SERVER_TEST_DATABASE_URL")
    if external:
        yield external
        if shared.is_last():
            for name in _databases(external, f"fhir_test_{testrun_uid}%"):
                _administer(external, "DROP DATABASE {} WITH (FORCE)", name)
    else:
        with embedded.running(shared.folder, parameters=FAST) as url:
            yield url


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for an embedded PostgreSQL.

    Not pytest's own: as root it runs as another user, and whenever a pytest starts on this
    machine it closes its folders to others.
    """
    with tempfile.TemporaryDirectory(prefix="fhir-server-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    """What the project's own folders declare."""
    return load_definitions(declared_root(), load_facts())


@pytest.fixture(scope="session")
def template(postgres_url: str, shared: Shared, testrun_uid: str, definitions: Definitions) -> str:
    """The name of the migrated, empty database that all others are copies of."""
    name = f"fhir_test_{testrun_uid}"
    with shared.alone():
        if not _databases(postgres_url, name):
            _administer(postgres_url, "CREATE DATABASE {}", name)
            migrate(database_of(postgres_url, name), definitions)
    return name


@pytest.fixture(scope="session")
def new_database(postgres_url: str, template: str) -> NewDatabase:
    """Makes a fresh migrated database and gives its URL."""

    def make() -> str:
        name = f"{template}_{uuid4().hex[:12]}"
        create = "CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log"
        _administer(postgres_url, create, name, template)
        return database_of(postgres_url, name)

    return make


@pytest.fixture(scope="module")
def database_url(new_database: NewDatabase) -> str:
    """A fresh database for the tests of one file; tests keep apart by tenant."""
    return new_database()


@pytest.fixture
def tenant() -> str:
    """A tenant no other test uses."""
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, shared: Shared) -> Settings:
    """The settings of the server under test."""
    return Settings(
        environment="test",
        database_url=database_url,
        data_dir=shared.folder / "data",
        rate_limit_scale=UNHINDERED,
    )


@pytest.fixture(scope="module")
def server_url(settings_of_tests: Settings) -> Iterator[str]:
    """A real server on a fresh database; one for each test file."""
    with listening(settings_of_tests) as address:
        yield address


@pytest.fixture
def client(server_url: str) -> Iterator[httpx.Client]:
    """A client of the server, without a token."""
    with httpx.Client(base_url=server_url) as client:
        yield client


@pytest.fixture(scope="module")
def token(settings_of_tests: Settings) -> Token:
    """Makes tokens with the development key: `token(tenant, "usr_amina", "DOCTOR", scope)`; several
    roles as a list."""

    def make(
        tenant: str,
        sub: str,
        role: str | list[str],
        scope: str = EVERY_SCOPE,
        *,
        modules: Iterable[str] = MODULES,
        patient: str | None = None,
    ) -> str:
        return mint(
            settings_of_tests,
            tenant=tenant,
            sub=sub,
            roles=[role] if isinstance(role, str) else role,
            scope=scope,
            modules=modules,
            patient=patient,
        )

    return make


@pytest.fixture
def login(server_url: str, token: Token) -> Iterator[Login]:
    """Makes clients that are signed in; arguments as for `token`."""
    with ExitStack() as open_clients:

        def sign_in(*who: str, **more: Any) -> httpx.Client:
            headers = {"Authorization": f"Bearer {token(*who, **more)}"}
            client = httpx.Client(base_url=server_url, headers=headers)
            return open_clients.enter_context(client)

        yield sign_in


@pytest.fixture(scope="module")
def new_clinic(server_url: str, token: Token) -> Iterator[NewClinic]:
    """Makes a tenant with a directory, whose people are signed in."""
    with httpx.Client(base_url=server_url) as http:
        yield lambda: Clinic(http, token)


@pytest.fixture
def clinic(new_clinic: NewClinic) -> Clinic:
    """A tenant of this test's own."""
    return new_clinic()


@pytest.fixture
async def core(settings_of_tests: Settings) -> AsyncIterator[Core]:
    """The server without HTTP, on the same database, connected."""
    core = build_core(settings_of_tests)
    await core.store.sessions.open()
    yield core
    await core.store.sessions.close()


def database_of(url: str, name: str) -> str:
    """The same PostgreSQL, another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _databases(url: str, pattern: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        like = "SELECT datname FROM pg_database WHERE datname LIKE %s"
        return [row[0] for row in connection.execute(like, [pattern])]


def _administer(url: str, statement: LiteralString, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
