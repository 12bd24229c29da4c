"""Faults, for real: processes are killed, connections cut, disks filled, clocks moved.

Each test of this folder makes one fault happen under load, lets it pass, and then settles accounts.
`make test` takes a short form of each, `make chaos` a long one, and prints the table.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from fhir_server.definitions.model import Definitions
from fhir_server.http.auth import mint
from fhir_server.settings import Settings
from fhir_server.store.migrations import migrate
from tests.chaos.accounts import Account
from tests.chaos.load import Token
from tests.chaos.rig import Rig, rig_on
from tests.conftest import EVERY_SCOPE, MODULES
from tests.support.postgres import Postgres
from tests.support.shared import Shared

TABLE = pytest.StashKey[list[Account]]()
Enter = Callable[[Account], None]


@pytest.fixture(scope="session")
def cluster(shared: Shared, definitions: Definitions) -> Postgres:
    """A migrated cluster that is stopped, to be copied."""
    found = Postgres(shared.folder / "cluster")
    with shared.alone():
        done = shared.folder / "cluster" / "done"
        if not done.exists():
            found.create()
            migrate(found.url, definitions)
            found.stop()
            done.touch()
    return found


@pytest.fixture(scope="session")
def chaos_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fhir-server-chaos-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def token(chaos_folder: Path) -> Token:
    """By the development key that the servers under test have."""
    known = Settings(environment="test", data_dir=chaos_folder / "server")

    def make(tenant: str, sub: str, role: str, ttl: int = 86_400) -> str:
        return mint(
            known,
            tenant=tenant,
            sub=sub,
            roles=[role],
            scope=EVERY_SCOPE,
            modules=MODULES,
            ttl=ttl,
        )

    return make


@pytest.fixture(scope="session")
def shared_rig(cluster: Postgres, chaos_folder: Path, token: Token) -> Iterator[Rig]:
    """One for the faults of a process of the test run; each test leaves it whole."""
    postgres = Postgres(chaos_folder / "postgres")
    postgres.copy_of(cluster)
    postgres.start()
    try:
        with rig_on(postgres, chaos_folder, token) as rig:
            yield rig
    finally:
        postgres.crash()
        shutil.rmtree(postgres.data, ignore_errors=True)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """Asks for health."""
    async with httpx.AsyncClient() as client:
        yield client


@pytest.fixture
async def rig(shared_rig: Rig, http: httpx.AsyncClient) -> Rig:
    """Whole and ready."""
    if not shared_rig.server.runs():
        shared_rig.server.launch()
    await shared_rig.server.listens()
    await shared_rig.server.becomes(http, ready=True)
    return shared_rig


@pytest.fixture
def enter(request: pytest.FixtureRequest) -> Enter:
    """Enters an account in the table."""

    def entered(account: Account) -> None:
        request.node.user_properties.append(("account", account.row()))

    return entered


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table, as docs/faults.md has it."""
    rows = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "account"
    ]
    if rows:
        table = [Account.head(), ["---"] * len(Account.head()), *rows]
        terminalreporter.section("accounts")
        for row in table:
            terminalreporter.write_line("| " + " | ".join(map(str, row)) + " |")
