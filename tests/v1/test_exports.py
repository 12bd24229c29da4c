"""An export over HTTP: formats and headers, in the memory of a page, whole or cut off."""

from __future__ import annotations

import asyncio
import csv
import gc
import io
import json
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from fhir_server.app import opened
from fhir_server.context import Context
from fhir_server.definitions.model import Definitions
from fhir_server.mapping.calls import Call
from fhir_server.mapping.compiler import EXPORTED
from fhir_server.mapping.export import Export
from fhir_server.settings import Settings
from tests.conftest import UNHINDERED, Token
from tests.search.bench import Bench
from tests.support.audit_events import stored, trail
from tests.support.heard import statements
from tests.v1.conftest import Caller, refused

PATH = "/v1/audit-logs/export"
SCOPE = "audit:read"
# Of connections: one for requests, one for what the server does beside them.
FEWEST = 2
LARGE, MANY = "t-large", 20_000
# No entry that a test keeps was recorded later.
LATEST = "2026-03-01"
CSV, NDJSON = "text/csv; charset=utf-8; header=present", "application/x-ndjson"
FHIR = "application/fhir+ndjson"


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, folder: object) -> Settings:
    """With as few connections to the database as can be."""
    return Settings(
        environment="test",
        database_url=database_url,
        data_dir=str(folder),
        pool_size=FEWEST,
        rate_limit_scale=UNHINDERED,
    )


@pytest.fixture(scope="module")
def large(settings_of_tests: Settings, definitions: Definitions) -> str:
    """A tenant with a long trail, written without the floors above the store."""
    events = [{**event, "id": f"e{n}"} for n, event in enumerate(trail(MANY))]

    async def write() -> None:
        async with Bench.on(settings_of_tests.database_url or "", definitions) as bench:
            await bench.put(LARGE, events)

    asyncio.run(write())
    return LARGE


@pytest.fixture
def admin(sign_in: Callable[..., Caller], tenant: str) -> httpx.Client:
    return sign_in(tenant, "usr_admin", "ADMIN", SCOPE).client


@pytest.mark.parametrize(
    ("format", "accept", "kind"),
    [
        ("", None, CSV),
        ("", "*/*", CSV),
        ("", "application/json", CSV),
        ("", "text/html;q=x, */*;q=0.1", CSV),
        ("", "text/csv;q=0.1, application/ndjson", NDJSON),
        ("", "application/x-ndjson", NDJSON),
        ("", "application/fhir+ndjson, text/csv;q=0.9", FHIR),
        ("ndjson", "text/csv", NDJSON),
        ("fhir", None, FHIR),
    ],
)
def test_formats(admin: httpx.Client, format: str, accept: str | None, kind: str) -> None:
    headers = {"Accept": accept} if accept else {}
    answer = admin.get(PATH, params={"format": format} if format else {}, headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)


@pytest.mark.parametrize(
    ("query", "field"),
    [("format=xlsx", "format"), ("format=", "format"), ("format=csv&format=csv", "format")],
)
def test_formats_that_there_are_not(admin: httpx.Client, query: str, field: str) -> None:
    answer = admin.get(f"{PATH}?{query}")
    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == field


@pytest.mark.parametrize("name", ["limit", "cursor"])
def test_an_export_has_no_pages(admin: httpx.Client, name: str) -> None:
    assert refused(admin.get(PATH, params={name: "1"})) == (400, "VALIDATION_ERROR")


def test_headers(admin: httpx.Client) -> None:
    get, head = admin.get(PATH), admin.head(PATH)
    for answer in (get, head):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Length" not in answer.headers
        name = answer.headers["Content-Disposition"].split('"')[1]
        assert name.startswith("audit-logs-export-2")
        assert name.endswith("Z.csv")
    assert (head.status_code, head.content) == (200, b"")
    assert set(head.headers) - {"transfer-encoding"} == set(get.headers) - {"transfer-encoding"}
    named = admin.head(PATH, params={"format": "fhir"}).headers["Content-Disposition"]
    assert named.split('"')[1].endswith("Z.ndjson")


def test_csv_and_json_lines_are_the_list(
    admin: httpx.Client, tenant: str, settings_of_tests: Settings
) -> None:
    stored(settings_of_tests, tenant, trail(30))
    settled = {"to": LATEST}
    listed = admin.get("/v1/audit-logs", params={"limit": "100", **settled}).json()["items"]
    assert len(listed) == 30
    lines = admin.get(PATH, params={"format": "ndjson", **settled})
    assert [json.loads(line) for line in lines.text.splitlines()] == listed
    table = admin.get(PATH, params=settled).content
    read = csv.DictReader(io.StringIO(table.decode(), newline=""), strict=True)
    assert [row["auditId"] for row in read] == [row["auditId"] for row in listed]
    assert table.count(b"\r\n") == table.count(b"\n") == len(listed) + 1
    wanted = admin.get(PATH, params={"resource": "Encounter/e7", "format": "ndjson"})
    assert [json.loads(line)["requestId"] for line in wanted.text.splitlines()] == ["r-7"]


def test_a_long_one_is_whole_and_takes_one_search_a_page(
    sign_in: Callable[..., Caller], large: str
) -> None:
    admin = sign_in(large, "usr_admin", "ADMIN", SCOPE).client
    admin.get("/v1/audit-logs")
    asked = {"format": "ndjson", "to": LATEST}
    with statements() as heard:
        lines = admin.get(PATH, params=asked, timeout=300).text.splitlines()
    assert [json.loads(line)["requestId"] for line in lines] == [
        f"r-{n}" for n in reversed(range(MANY))
    ]
    assert len(heard) == -(-MANY // EXPORTED.limit)


def test_memory_is_that_of_a_page(settings_of_tests: Settings, large: str) -> None:
    """It stays below what a part of the file takes, and is never the file."""

    async def run() -> tuple[int, int]:
        async with opened(settings_of_tests) as core:
            ctx = Context(large, "admin", roles=frozenset({"ADMIN"}))
            route = core.mappings.route("exportAuditLogs")
            export = Export(core.interactions, route, Call(ctx), "fhir")
            size = 0
            gc.collect()
            tracemalloc.start()
            async for chunk in export.chunks():
                size += len(chunk)
            return size, tracemalloc.get_traced_memory()[1]

    try:
        size, peak = asyncio.run(run())
    finally:
        tracemalloc.stop()
    pages = MANY / EXPORTED.limit
    assert peak < 10 * size / pages, (size, peak)


@contextmanager
def begun(server_url: str, token: str) -> Iterator[socket.socket]:
    """An export that was asked for and is not being read, except for its first bytes."""
    where = urlsplit(server_url)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(60)
        line.connect((where.hostname, where.port))
        line.sendall(
            f"GET {PATH}?format=fhir HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        assert line.recv(12) == b"HTTP/1.1 200"
        yield line


def rest(line: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    found = bytearray()
    while chunk := line.recv(1 << 16):
        found += chunk
        if found.endswith(b"0\r\n\r\n"):
            break
    return bytes(found)


def test_a_slow_client_holds_no_connection(server_url: str, token: Token, large: str) -> None:
    """Others are served while as many exports as there are connections wait for their readers."""
    admin = token(large, "usr_admin", "ADMIN", SCOPE)
    with ExitStack() as stack:
        lines = [stack.enter_context(begun(server_url, admin)) for _ in range(FEWEST)]
        for _ in range(5):
            answer = httpx.get(
                f"{server_url}/v1/audit-logs", headers={"Authorization": f"Bearer {admin}"}
            )
            assert answer.status_code == 200
        assert all(rest(line).endswith(b"0\r\n\r\n") for line in lines)


def test_what_breaks_off_does_not_look_whole(
    server_url: str, token: Token, large: str, database_url: str
) -> None:
    """The table goes away while an export waits for its reader: the connection ends without the
    last chunk."""
    with begun(server_url, token(large, "usr_admin", "ADMIN", SCOPE)) as line:
        rename(database_url, "auditevent", "elsewhere")
        try:
            found = rest(line)
        finally:
            rename(database_url, "elsewhere", "auditevent")
    assert not found.endswith(b"0\r\n\r\n")
    assert found.count(b'"resourceType"') < MANY
    answer = httpx.get(
        f"{server_url}/v1/audit-logs",
        headers={"Authorization": f"Bearer {token(large, 'usr_admin', 'ADMIN', SCOPE)}"},
    )
    assert answer.status_code == 200


def rename(database_url: str, old: str, new: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        statement = psycopg.sql.SQL("ALTER TABLE {} RENAME TO {}")
        names = (psycopg.sql.Identifier(name) for name in (old, new))
        connection.execute(statement.format(*names))
