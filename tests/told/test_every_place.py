"""Nothing a server says holds a word of what it was told: every route and operation of both faces,
the word in every place of a request, and all that the program says meanwhile at its loudest.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nats
import psycopg
import pytest

from fhir_server.declarations import read_declarations
from fhir_server.definitions.facts import load_facts
from fhir_server.http.auth import mint
from fhir_server.settings import Settings
from fhir_server.store import embedded
from tests.conftest import EVERY_SCOPE, MODULES
from tests.support.clamd import Double
from tests.support.clinic import FHIR, JSON, V1
from tests.support.nats import nats_server, stored
from tests.support.program import LISTENS, ROOT, environment
from tests.support.until import until
from tests.told.places import WORD, Asked, every

TENANT = "told"
DEAD = "ghasi.digital_communication.dead.>"
PDF = b"%PDF-1.7\n" + WORD.encode()
AT_ONCE = 4
IDS = re.compile(rf"(pat_|usr_|Patient/|Practitioner/){WORD}")


@dataclass(frozen=True)
class Told:
    """What was said: refusals that quote, answers of a bug, events, every line of the program."""

    quoting: Counter[str]
    failing: Counter[str]
    statuses: Counter[int]
    events: str
    messages: str
    failures: str
    lines: str
    database: str


@dataclass(frozen=True)
class Program:
    """The running server and those who ask it."""

    address: str
    data: Path
    nats: str

    def token(self, sub: str, *roles: str) -> Mapping[str, str]:
        settings = Settings(environment="test", data_dir=self.data)
        scope = f"{EVERY_SCOPE} {' '.join(read_declarations().mappings.service.scopes)}"
        made = mint(settings, tenant=TENANT, sub=sub, roles=roles, scope=scope, modules=MODULES)
        return {"Authorization": f"Bearer {made}"}


@pytest.fixture(scope="module")
def told(folder: Path) -> Told:
    """All that a server said that was asked everything."""
    double = Double()
    double.answer = f"stream: {WORD} ERROR\0".encode()
    with ExitStack() as stack:
        (folder / "nats").mkdir()
        broker = stack.enter_context(nats_server(folder / "nats"))
        stack.enter_context(double.running())
        env = environment(
            folder / "data",
            FHIR_SERVER_NATS_URL=broker.url,
            FHIR_SERVER_CLAMD=double.address,
            FHIR_SERVER_RATE_LIMIT_SCALE="1e6",
            PYTHONPATH=str(ROOT),
        )
        out = stack.enter_context((folder / "lines").open("w"))
        command = [sys.executable, "-X", "dev", "-m", "tests.support.loud", "serve"]
        server = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
        try:
            address = _listens(server, folder / "lines")
            found = _everything(Program(address, folder / "data", broker.url))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    logs = sorted((folder / "data" / "postgres").glob("*log*"))
    return Told(
        **found,
        lines=(folder / "lines").read_text(errors="replace"),
        database="".join(log.read_text(errors="replace") for log in logs if log.is_file()),
    )


def _listens(server: subprocess.Popen[bytes], lines: Path) -> str:
    end = time.monotonic() + 240
    while server.poll() is None and time.monotonic() < end:
        if found := LISTENS.search(lines.read_text()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(lines.read_text()[-3000:])


def _everything(program: Program) -> dict[str, Any]:
    with httpx.Client(base_url=program.address, timeout=120) as http, ExitStack() as stack:
        ids = _settled(http, program) | _recorded(http, program)
        asked = list(every(read_declarations(), load_facts(), ids))
        callers = [
            program.token("usr_system", "SERVICE"),
            program.token("usr_amina", "DOCTOR", "ADMIN"),
        ]
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        answers = list(pool.map(lambda one: _ask(http, one, callers), asked))
        # Whom nothing is open to.
        visitor = [program.token("usr_visitor", "VISITOR")] * 2
        answers += pool.map(lambda one: _ask(http, one, visitor), asked[::25])
        url = stack.enter_context(embedded.running(program.data))
        with psycopg.connect(url, autocommit=True) as connection:
            answers += _bugs(http, connection, callers)
            asyncio.run(_poison(program.nats))
            events = connection.execute("SELECT type, subject, data FROM outbox").fetchall()
            failures = connection.execute("SELECT failure FROM outbox").fetchall()
    quoting = Counter(_line(one) for one in answers if one.status_code >= 400 and _quotes(one))
    failing = Counter(_line(one) for one in answers if one.status_code >= 500)
    messages = [
        m
        for subject in ("ghasi.digital_communication.>", "ghasi.messaging.>")
        for m in asyncio.run(stored(program.nats, subject))
    ]
    alive = [f"{m.subject} {m.headers} {m.data!r}" for m in messages if ".dead." not in m.subject]
    dead = [f"{m.subject} {m.headers}" for m in messages if ".dead." in m.subject]
    assert alive, "nothing was published"
    assert len(dead) >= 3, "the dead letters are missing"
    return {
        "quoting": quoting,
        "failing": failing,
        "statuses": Counter(one.status_code for one in answers),
        "events": str(events),
        "messages": str([alive, dead]),
        "failures": str(failures),
    }


def _settled(http: httpx.Client, program: Program) -> dict[str, str]:
    """People, a conversation with the word in it, and a file that cannot be scanned."""
    service, amina = program.token("usr_system", "SERVICE"), program.token("usr_amina", "DOCTOR")
    for kind, id in (
        ("Practitioner", "amina"),
        ("Practitioner", "farid"),
        ("Patient", "zahra"),
        ("PractitionerRole", "on-call"),
    ):
        body: dict[str, Any] = {"resourceType": kind, "id": id}
        body |= {} if kind == "PractitionerRole" else {"name": [{"family": WORD}]}
        made = http.put(f"{FHIR}{kind}/{id}", json=body, headers={**service, "Content-Type": JSON})
        assert made.status_code == 201, made.text

    def post(path: str, body: Any) -> Any:
        headers = {**amina, "Idempotency-Key": path}
        answer = http.post(V1 + path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    thread = post("threads", {"participantIds": ["usr_farid"], "subject": WORD})["threadId"]
    sent = post(f"threads/{thread}/messages", {"body": WORD, "urgency": "urgent"})
    post(f"threads/{thread}/escalate", {"reason": WORD})
    file = {"fileName": f"{WORD}.pdf", "contentType": "application/pdf", "size": len(PDF)}
    attachment = post(f"threads/{thread}/attachments", file)["attachmentId"]
    put = http.put(
        f"{V1}attachments/{attachment}/content",
        content=PDF,
        headers={**amina, "Upload-Offset": "0", "Content-Type": "application/pdf"},
    )
    assert put.status_code < 500
    return {
        "threadId": thread,
        "participantId": "usr_farid",
        "attachmentId": attachment,
        "messageId": sent["messageId"],
    }


def _recorded(http: httpx.Client, program: Program) -> dict[str, str]:
    """An entry of the audit trail, and a request under the GDPR that is soon carried out."""
    admin = program.token("usr_admin", "ADMIN")
    body = {"patientId": "pat_zahra", "reason": WORD}
    headers = {**admin, "Idempotency-Key": "export"}
    request = http.post("/v1/gdpr/export", json=body, headers=headers)
    assert request.status_code == 202, request.text
    end = time.monotonic() + 60
    while not (items := http.get("/v1/audit-logs", headers=admin).json()["items"]):
        assert time.monotonic() < end, "nothing was recorded"
        time.sleep(0.05)
    return {"requestId": request.json()["requestId"], "auditId": items[0]["auditId"]}


def _ask(http: httpx.Client, one: Asked, callers: list[Mapping[str, str]]) -> httpx.Response:
    """By a backend on the FHIR face, by a doctor on the other."""
    caller = callers[one.path.startswith("/v1/")]
    return http.request(
        one.method, one.path, content=one.content, headers={**caller, **one.headers}
    )


def _bugs(
    http: httpx.Client, connection: psycopg.Connection, callers: list[Mapping[str, str]]
) -> list[httpx.Response]:
    """A trigger that quotes the row stands for whatever we do not foresee."""
    connection.execute("""
        CREATE FUNCTION bug() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused %', NEW; END $$;
        CREATE TRIGGER bug BEFORE INSERT ON patient FOR EACH ROW EXECUTE FUNCTION bug();
    """)
    body = {"resourceType": "Patient", "name": [{"family": WORD}]}
    headers = {**callers[0], "Content-Type": JSON}
    answers = [http.post(f"{FHIR}Patient", json=body, headers=headers)]
    connection.execute("DROP TRIGGER bug ON patient; DROP FUNCTION bug()")
    assert [one.status_code for one in answers] == [500]
    answers[0].status_code = 499  # foreseen here, and to quote nothing all the same
    return answers


async def _poison(url: str) -> None:
    """What no mapping file can use, and waits until it is set aside."""
    client = await nats.connect(url)
    data = {"patientId": "pat_x", "familyName": WORD, "gender": WORD}
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": WORD,
        "tenantid": TENANT,
        "type": "registration.patient.created",
        "data": data,
    }
    for body in (
        WORD.encode(),
        json.dumps({**event, "tenantid": f"{WORD} x"}).encode(),
        json.dumps(event).encode(),
    ):
        await client.jetstream().publish("ghasi.registration.patient.created", body)
    await client.close()

    async def all_dead() -> bool:
        return len(await stored(url, DEAD)) >= 3

    await until(all_dead, 90)


def _quotes(answer: httpx.Response) -> bool:
    return WORD in answer.text or WORD in str(answer.headers)


def _line(answer: httpx.Response) -> str:
    """What was asked and said, without what differs from type to type."""
    said = answer.text + " ".join(v for v in answer.headers.values() if WORD in v)
    at = said.find(WORD)
    path = re.sub(r"/(R4/)?[A-Z][A-Za-z]+", "/T", answer.request.url.path)
    return f"{answer.status_code} {answer.request.method} {path}: {said[max(at - 90, 0) : at + 30]}"


def test_no_refusal_quotes(told: Told) -> None:
    print(told.statuses.total(), told.statuses, *told.quoting, sep="\n")  # noqa: T201 - read with pytest -s
    assert told.statuses.keys() >= {200, 201, 400, 401, 403, 404, 406, 409, 412, 415, 422}
    assert told.quoting == {}


def test_no_request_finds_a_bug(told: Told) -> None:
    assert told.failing == {}


def test_no_event_tells(told: Told) -> None:
    assert "communication.message.sent" in told.events
    # Ids they tell: a backend wrote of people whose id is the word.
    said = IDS.sub("", told.events + told.messages) + told.failures
    assert re.findall(rf".{{0,90}}{WORD}", said)[:9] == []


def test_no_line_of_the_program_tells(told: Told) -> None:
    """Its loggers, those of its libraries, warnings, and what it prints."""
    assert "unhandled error at" in told.lines
    assert "stays unscanned" in told.lines
    assert "is a dead letter" in told.lines
    assert "DEBUG" in told.lines
    assert [line[:300] for line in told.lines.splitlines() if WORD in line][:20] == []


def test_the_database_logs_nothing_of_it(told: Told) -> None:
    assert "ready to accept connections" in told.database
    assert [line[:300] for line in told.database.splitlines() if WORD in line][:20] == []
